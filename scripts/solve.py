"""Answer questions by majority vote, if wanted after training on them without any answer."""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.answers import comparer_in_use
from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.errors import InputError, exit_on_bad_input
from rl.plugins import add_code_argument, allow_code
from rl.rollouts.engine import SAMPLING_RANGES
from rl.settings import Count, NumSamples, Seed, check_options

if TYPE_CHECKING:
    from rl.evaluation.problems.labelled import Problem

EPILOG = r"""
examples:
  # vote over 16 samples of each question
  python scripts/solve.py questions.jsonl --model MODEL --output answers.jsonl

  # train on the questions first, with no label, then vote; further fields go to the training
  python scripts/solve.py questions.jsonl --model MODEL --output answers.jsonl \
      --adapt recipes/ttrl/ttrl_qwen2.5_math_1.5b_math500.yaml --max_steps 40
  python scripts/solve.py ... --adapt RECIPE \
      --launcher 'accelerate launch --config_file recipes/accelerate/zero3.yaml'

QUESTIONS is a .jsonl, .json, .csv or .parquet file with a column "prompt" (--prompt_column), or a
hub id. A vision-language model also reads a column "images" or "image": paths beside the file,
bytes or data: URLs. With --adapt the recipe's system prompt, suffix, temperature, length and way to
find and compare answers hold here too, and the trained model stays in OUTPUT's folder, under the
name of OUTPUT with -adapted.

A line of OUTPUT: {"id", "question", "answer", "majority_ratio", "num_votes", "num_abstained",
"alternatives": [{"answer", "count"}], "reasoning", "num_truncated": samples cut off}; answer is
null where no sample has one. The same command goes on with a file, or a training, that was broken
off.
"""


@exit_on_bad_input()
def main() -> None:
    """Check everything, adapt if asked to, then answer question by question."""
    arguments, overrides = parse_arguments()
    recipe = read_recipe(arguments, overrides)
    questions = read_questions(arguments, recipe)
    methods = use_answer_arguments(arguments, recipe)
    settings = {
        "model": arguments.model,
        "adapt": arguments.adapt and [arguments.adapt, *overrides],
        "num_samples": arguments.num_samples,
        "seed": arguments.seed,
        "temperature": first_given(arguments.temperature, recipe.get("temperature"), 1.0),
        "top_p": first_given(arguments.top_p, recipe.get("top_p"), 1.0),
        "max_completion_length": first_given(
            arguments.max_completion_length, recipe.get("max_completion_length")
        ),
        "stop_strings": recipe.get("stop_strings") or [],
        "answer_methods": methods,
        "answer_comparer": comparer_in_use(),
        "answer_choices": recipe.get("answer_choices"),
    }
    num_done = open_output(arguments.output, settings, questions)
    if num_done < len(questions):
        model = adapt(arguments, overrides) if arguments.adapt else arguments.model
        solve(arguments, settings, model, questions, num_done)
    print_summary(arguments.output)


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read and check the command line; what is not ours goes to the training."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("questions", metavar="QUESTIONS", help="file or hub id")
    add("--model", required=True, help="model folder or hub id")
    add("--output", type=Path, required=True, metavar="FILE", help="where the answers go, .jsonl")
    add("--adapt", metavar="RECIPE", help="train on the questions first, as this recipe says")
    add("--launcher", default=sys.executable, help="what starts the training (%(default)s)")
    add("--prompt_column", help='column of the questions (the recipe\'s, or "prompt")')
    add(
        "--image_column",
        help="column with a question's image or images (the recipe's, or images or image)",
    )
    add("--allow_remote_images", action="store_true", help="fetch images from links")
    add("--system_prompt", help="makes each question a chat (the recipe's, or none)")
    add("--prompt_suffix", help="put after each question as written (the recipe's, or none)")
    add_answer_arguments(parser, default="the recipe's, or boxed, final_answer_phrase")
    add("--num_samples", type=int, default=16, help="votes per question (%(default)s)")
    add("--temperature", type=float, help="(the recipe's, or 1.0)")
    add("--top_p", type=float, help="(the recipe's, or 1.0)")
    add("--max_completion_length", type=int, help="tokens (the recipe's, or 4096 or what fits)")
    add(
        "--engine", default="transformers", help="transformers, vllm or file.py:Class (%(default)s)"
    )
    add("--batch_size", type=int, default=256, help="completions sampled at a time (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add_code_argument(parser)
    arguments, overrides = parser.parse_known_args()
    allow_code(vars(arguments))
    if overrides and not arguments.adapt:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    ranges = {"num_samples": NumSamples, "batch_size": Count, "seed": Seed}
    check_options(arguments, {**SAMPLING_RANGES, **ranges})
    if not arguments.output.parent.is_dir():
        raise InputError(
            f"--output: got {arguments.output}, expected a file in an existing folder. Create "
            f"{arguments.output.parent} first."
        )
    from rl.rollouts.engines import engine_class

    engine_class(arguments.engine, "for_model", "--engine")
    return arguments, overrides


def read_recipe(arguments: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    """Read the settings of the training, if there is one."""
    if not arguments.adapt:
        return {}
    from rl.training.recipe import read_settings

    return read_settings(arguments.adapt, overrides, arguments.allow_code)


def read_questions(arguments: argparse.Namespace, recipe: dict[str, Any]) -> "list[Problem]":
    """Read the questions with the words the recipe or the command line puts around them.

    Raises:
        InputError: If there are none, or an image of one cannot be read.
    """
    from rl.data.prompts import load_prompts
    from rl.evaluation.problems.labelled import unlabelled_problems

    arguments.prompt_column = first_given(
        arguments.prompt_column, recipe.get("prompt_column"), "prompt"
    )
    for name in ("image_column", "system_prompt", "prompt_suffix"):
        setattr(arguments, name, first_given(getattr(arguments, name), recipe.get(name)))
    arguments.allow_remote_images |= bool(recipe.get("allow_remote_images"))
    prompts = load_prompts(
        arguments.questions,
        prompt_column=arguments.prompt_column,
        image_column=arguments.image_column,
        system_prompt=arguments.system_prompt,
        prompt_suffix=arguments.prompt_suffix,
    )
    return unlabelled_problems(prompts.dataset, arguments.allow_remote_images)


def first_given(*values: Any) -> Any:
    """Return the first value that is not None, or None."""
    return next((value for value in values if value is not None), None)


def open_output(output: Path, settings: dict[str, Any], questions: "Sequence[Problem]") -> int:
    """Start a file of answers, or find out how far the one that is there has got.

    Raises:
        InputError: If its answers were sampled with other settings or to other questions.
    """
    from rl.data.prompts import prompt_id

    names = [prompt_id(json.dumps(asked.prompt), asked.image_digests) for asked in questions]
    stamp = json.dumps({**settings, "questions": names})
    sidecar = output.with_name(f"{output.name}.settings.json")
    if not output.exists():
        sidecar.write_text(stamp, encoding="utf-8")
        return 0
    if not sidecar.exists() or sidecar.read_text(encoding="utf-8") != stamp:
        raise InputError(
            f"--output: got {output}, which holds answers to other questions or of other settings, "
            "expected a new file or one of the same command. Name another file."
        )
    content = output.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]  # a killed run may leave half a line
    if whole != content:
        output.write_bytes(whole)
    return whole.count(b"\n")


def adapt(arguments: argparse.Namespace, overrides: list[str]) -> str:
    """Train on the questions, or go on with a training that was broken off; return the folder."""
    folder = arguments.output.with_name(f"{arguments.output.stem}-adapted")
    if (folder / "summary.json").is_file():
        return str(folder)
    from rl.training.recipe import as_arguments

    fields = {
        "model": arguments.model,
        "dataset": arguments.questions,
        "prompt_column": arguments.prompt_column,
        "image_column": arguments.image_column,
        "allow_remote_images": arguments.allow_remote_images,
        "label_column": None,
        "eval_benchmarks": [],
        "seed": arguments.seed,
        "output_dir": str(folder),
    }
    for name in ("answer_methods", "answer_comparer"):
        if getattr(arguments, name) is not None:
            fields[name] = getattr(arguments, name) or None
    for name in ("system_prompt", "prompt_suffix"):
        fields[name] = getattr(arguments, name)
    command = [
        *shlex.split(arguments.launcher),
        *(str(Path(__file__).with_name("train.py")), arguments.adapt),
        *as_arguments(fields),
        *overrides,
        *("--resume_from_checkpoint", "auto"),
        *(["--allow_code"] if arguments.allow_code else []),
    ]
    print(f"adapting to the questions: {folder}", flush=True)
    status = subprocess.run(command, check=False).returncode
    if status:
        raise SystemExit(status)
    return str(folder)


def solve(
    arguments: argparse.Namespace,
    settings: dict[str, Any],
    model: str,
    questions: "Sequence[Problem]",
    num_done: int,
) -> None:
    """Sample, vote and write, a batch of questions at a time."""
    from tqdm import tqdm

    from rl.answers import start_verifier
    from rl.data.image_inputs import read_prompt
    from rl.evaluation.models import completion_length, open_image_inputs, open_tokenizer
    from rl.rollouts.engine import SamplingSettings
    from rl.rollouts.engines import StoredModel, engine_class

    tokenizer, context, _ = open_tokenizer(model)
    inputs = open_image_inputs(model, tokenizer, questions, arguments.engine)
    prompt_ids = [read_prompt(one.prompt, one.images, tokenizer, inputs) for one in questions]
    longest = max(map(len, prompt_ids))
    sampling = SamplingSettings(
        max_completion_length=completion_length(
            settings["max_completion_length"], longest, context
        ),
        temperature=settings["temperature"],
        top_p=settings["top_p"],
        stop_strings=tuple(settings["stop_strings"]),
    )
    stored = StoredModel(
        model=model,
        tokenizer=tokenizer,
        settings=sampling,
        longest_prompt=longest,
        batch_size=arguments.batch_size,
        image_inputs=inputs,
    )
    engine = engine_class(arguments.engine, "for_model", "--engine").for_model(stored)
    start_verifier()
    with (
        closing(engine),
        arguments.output.open("a", encoding="utf-8") as output,
        tqdm(desc="solving", total=len(questions), initial=num_done, unit="question") as bar,
    ):
        size = max(1, arguments.batch_size // arguments.num_samples)
        for start in range(num_done, len(questions), size):
            rows = range(start, min(start + size, len(questions)))
            for line in answer(engine, tokenizer, questions, prompt_ids, rows, arguments, settings):
                output.write(json.dumps(line) + "\n")
                bar.update()
            output.flush()


def answer(
    engine: Any,
    tokenizer: Any,
    questions: "Sequence[Problem]",
    prompt_ids: Sequence[list[int]],
    rows: range,
    arguments: argparse.Namespace,
    settings: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Sample some questions and yield the line of each."""
    from rl.answers import extract_answer
    from rl.answers.solving import voted_answer
    from rl.rollouts.engine import derive_seed, images_argument
    from rl.rollouts.stop_strings import completion_texts

    looked_for = {"methods": settings["answer_methods"], "choices": settings["answer_choices"]}
    seeds = [derive_seed(arguments.seed, "solve", row) for row in rows]
    images = images_argument([questions[row].images for row in rows])
    asked = [prompt_ids[row] for row in rows]
    groups = engine.generate(asked, arguments.num_samples, seeds, **images)
    for row, group in zip(rows, groups, strict=True):
        texts = completion_texts(group, tokenizer, settings["stop_strings"])
        answers = [extract_answer(text, **looked_for) for text in texts]
        vote = voted_answer(texts, answers, [len(sample.completion_ids) for sample in group])
        num_truncated = sum(sample.truncated for sample in group)
        digests = list(questions[row].image_digests)
        yield {
            "id": row,
            "question": questions[row].prompt,
            **({"images": digests} if digests else {}),
            **vote,
            "num_truncated": num_truncated,
        }


def print_summary(output: Path) -> None:
    """Say how many questions have an answer, how sure the votes are, and why some have none."""
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    answered = [line for line in lines if line["answer"] is not None]
    sure = sum(line["majority_ratio"] > 0.5 for line in answered)
    print(f"questions   {len(lines)}, {len(answered)} with an answer")
    print(f"majority    more than half of the votes in {sure}")
    names = ("num_votes", "num_abstained", "num_truncated")
    votes, silent, cut = (sum(line.get(name, 0) for line in lines) for name in names)
    # What a first try runs into most: no box in the completion, or no room for it.
    print(f"no answer   in {silent} of {votes} samples (see --answer_methods); {cut} were cut off")
    print(f"answers     {output}")


if __name__ == "__main__":
    main()
