"""Answer questions by majority vote, if wanted after training on them without any answer."""

import argparse
import json
import shlex
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.answers import comparer_in_use
from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.data.whole_files import check_output
from rl.errors import InputError, exit_on_bad_input
from rl.plugins import add_code_argument, allow_code
from rl.report.folders import is_finished
from rl.rollouts.engine import SAMPLING_RANGES
from rl.rollouts.options import ENDPOINT_RANGES, add_endpoint_arguments, check_endpoint
from rl.settings import Count, NumSamples, Seed, check_options, check_settings, check_value
from rl.with_parent import run_or_exit

if TYPE_CHECKING:
    from rl.evaluation.models import EnginePlan
    from rl.evaluation.problems.labelled import Problem
    from rl.evaluation.records import SampleRecord

# What the trained model depends on, of all that decides the answers.
TRAINED_BY = ("model", "adapt", "seed", "answer_methods", "answer_comparer", "questions")
EPILOG = r"""
examples:
  # vote over 16 samples of each question
  python scripts/solve.py questions.jsonl --model MODEL --output answers.jsonl

  # train on the questions first, with no label, then vote; further fields go to the training
  python scripts/solve.py questions.jsonl --model MODEL --output answers.jsonl \
      --adapt recipes/ttrl/ttrl_qwen2.5_math_1.5b_math500.yaml --max_steps 40
  python scripts/solve.py ... --adapt RECIPE \
      --launcher 'accelerate launch --config_file recipes/accelerate/zero3.yaml'

  # ask an OpenAI-compatible endpoint, or a vLLM server; --model is the name it serves
  python scripts/solve.py questions.jsonl --model NAME --output answers.jsonl \
      --engine openai --base_url http://127.0.0.1:8000/v1 --api_key_env VLLM_API_KEY

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


@exit_on_bad_input("interrupted; the same command goes on with what was answered")
def main() -> None:
    """Check everything, adapt if asked to, then answer question by question."""
    arguments, overrides = parse_arguments()
    recipe = read_recipe(arguments, overrides)
    choose_engine(arguments, recipe)
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
        "--engine",
        help="transformers, vllm, openai for an endpoint or a server, or file.py:Class (vllm after "
        "a training that samples with vLLM, in its process or on a server, or transformers)",
    )
    add("--batch_size", type=int, default=256, help="completions sampled at a time (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add_endpoint_arguments(parser.add_argument_group("endpoint"))
    add_code_argument(parser)
    arguments, overrides = parser.parse_known_args()
    allow_code(vars(arguments))
    if overrides and not arguments.adapt:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    ranges = {"num_samples": NumSamples, "batch_size": Count, "seed": Seed}
    check_options(arguments, {**SAMPLING_RANGES, **ENDPOINT_RANGES, **ranges})
    check_output(arguments.output)
    return arguments, overrides


def read_recipe(arguments: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    """Read the settings of the training, if there is one, and check those that hold here too."""
    if not arguments.adapt:
        return {}
    from rl.training.prompt_settings import PromptSettings
    from rl.training.recipe import read_settings

    settings = read_settings(arguments.adapt, overrides, arguments.allow_code)
    names = {field.name for field in fields(PromptSettings)} & settings.keys()
    checked = check_settings("", PromptSettings, {name: settings[name] for name in names})
    for name, kind in {**SAMPLING_RANGES, "stop_strings": list[str]}.items():
        if settings.get(name) is not None:
            checked[name] = check_value(name, kind, settings[name])
    return {**settings, **checked}


def choose_engine(arguments: argparse.Namespace, recipe: dict[str, Any]) -> None:
    """Settle what samples the answers: what was asked for, or vLLM if the training samples with it.

    Raises:
        InputError: If it is not installed, or cannot sample what is trained here.
    """
    if arguments.engine is None:
        with_vllm = recipe.get("use_vllm") or recipe.get("engine") in ("vllm", "vllm_server")
        arguments.engine = "vllm" if with_vllm else "transformers"
    check_endpoint(arguments)
    if arguments.adapt and arguments.engine == "openai":
        raise InputError(
            "--engine: got openai with --adapt, expected one that loads the model trained here, "
            "which no endpoint serves. Leave out one of the two."
        )


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
        if settings["adapt"] and is_finished(adapted_folder(output)):
            check_training(output, sidecar, json.loads(stamp))
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


def adapted_folder(output: Path) -> Path:
    """Return the folder of the model that is trained for a file of answers."""
    return output.with_name(f"{output.stem}-adapted")


def check_training(output: Path, sidecar: Path, stamp: dict[str, Any]) -> None:
    """Check that the model that is there was trained on these questions, and in this way.

    Raises:
        InputError: If not, or if that is not known.
    """
    try:
        saved = json.loads(sidecar.read_bytes())
    except (OSError, ValueError):
        saved = {}
    if any(saved.get(name) != stamp[name] for name in TRAINED_BY):
        raise InputError(
            f"--output: got {output}, for which {adapted_folder(output)} was trained on other "
            "questions or in another way, expected a new name or one of the same command. Name "
            "another file, or remove that folder."
        )


def adapt(arguments: argparse.Namespace, overrides: list[str]) -> str:
    """Train on the questions, or go on with a training that was broken off; return the folder."""
    folder = adapted_folder(arguments.output)
    if is_finished(folder):
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
    run_or_exit(command)
    return str(folder)


def solve(
    arguments: argparse.Namespace,
    settings: dict[str, Any],
    model: str,
    questions: "list[Problem]",
    num_done: int,
) -> None:
    """Sample, vote and write, a batch of questions at a time."""
    from tqdm import tqdm

    from rl.answers import start_verifier
    from rl.evaluation.evaluate import sample_problems

    plan = plan_sampling(arguments, settings, model, questions)
    asked = {
        "num_samples": arguments.num_samples,
        "seed": arguments.seed,
        "batch_size": arguments.batch_size,
        "image_inputs": plan.image_inputs,
    }
    engine = plan.open()
    start_verifier()
    with (
        closing(engine),
        arguments.output.open("a", encoding="utf-8") as output,
        tqdm(desc="solving", total=len(questions), initial=num_done, unit="question") as bar,
    ):
        size = max(1, arguments.batch_size // arguments.num_samples)
        for start in range(num_done, len(questions), size):
            some = questions[start : start + size]
            # An endpoint's come as they are finished; lines are in the order of the questions.
            waiting, finished = deque(some), {}
            for group in sample_problems(engine, plan.tokenizer, some, **asked):
                if len(group) == arguments.num_samples:  # some lack samples where it refuses
                    finished[group[0].problem_id] = group
                while waiting and waiting[0].id in finished:
                    question = waiting.popleft()
                    answered = finished.pop(question.id)
                    output.write(json.dumps(line_of(question, answered, settings)) + "\n")
                    bar.update()
            output.flush()


def plan_sampling(
    arguments: argparse.Namespace,
    settings: dict[str, Any],
    model: str,
    questions: "list[Problem]",
) -> "EnginePlan":
    """Find out, as an evaluation does, what samples the questions and how long answers may be."""
    from rl.evaluation.models import plan_engine
    from rl.evaluation.problems.labelled import Benchmark

    left_out = ("chat_template", "chat_template_args", "model_revision", "max_prompt_length")
    options = {**dict.fromkeys(left_out), "top_k": 0, "min_p": 0.0, **vars(arguments), **settings}
    named = Benchmark(problems=questions, prompt_column=arguments.prompt_column, label_column="")
    return plan_engine(argparse.Namespace(**{**options, "model": model}), [named])


def line_of(
    question: "Problem", samples: "Sequence[SampleRecord]", settings: dict[str, Any]
) -> dict[str, Any]:
    """Vote on a question's samples; a line of the output."""
    from rl.answers import extract_answer
    from rl.answers.solving import voted_answer

    looked_for = {"methods": settings["answer_methods"], "choices": settings["answer_choices"]}
    texts = [sample.completion for sample in samples]
    lengths = [sample.num_tokens for sample in samples if sample.num_tokens is not None]
    if len(lengths) < len(samples):  # not every endpoint tells
        lengths = [len(text) for text in texts]
    vote = voted_answer(texts, [extract_answer(text, **looked_for) for text in texts], lengths)
    digests = list(question.image_digests)
    return {
        "id": int(question.id),
        "question": question.prompt,
        **({"images": digests} if digests else {}),
        **vote,
        "num_truncated": sum(bool(sample.truncated) for sample in samples),
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
