"""The command line of scripts/evaluate.py: its options and what can be checked before any work."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl.answers.options import add_answer_arguments
from rl.errors import InputError
from rl.evaluation.exchange.formats import WRITERS
from rl.evaluation.metrics.summary import check_ks, default_ks
from rl.evaluation.models import DEFAULT_MAX_COMPLETION_LENGTH
from rl.evaluation.problems.kinds import KINDS
from rl.evaluation.problems.prompt_templates import TEMPLATES
from rl.evaluation.problems.registry import split_benchmarks
from rl.evaluation.referee import REFEREES
from rl.plugins import add_code_argument, allow_code
from rl.rollouts.engine import SAMPLING_RANGES, TopK
from rl.rollouts.options import ENDPOINT_RANGES, add_endpoint_arguments, check_endpoint
from rl.settings import Count, NumSamples, Seed, Share, check_options

EPILOG = r"""
examples:
  # 16 samples of each problem of a file; finds the columns prompt, problem or question and label,
  # answer or final_answer by itself
  python scripts/evaluate.py --model runs/demo/checkpoint-80 --benchmark heldout.jsonl \
      --output_dir runs/evaluation

  # two named benchmarks with vLLM and the sampling most published numbers use; results in
  # runs/qwen/aime24 and runs/qwen/math500
  python scripts/evaluate.py --model Qwen/Qwen2.5-Math-1.5B-Instruct --engine vllm \
      --benchmark aime24,math500 --num_samples 64 --k 1,8,64 --temperature 0.6 --top_p 0.95 \
      --output_dir runs/qwen

  # without a network: a local copy of a named benchmark
  python scripts/evaluate.py --model MODEL_DIR --benchmark aime24=aime24.jsonl --output_dir runs/a

  # an OpenAI-compatible endpoint; --model is the name it serves
  python scripts/evaluate.py --engine openai --base_url http://127.0.0.1:8000/v1 --model my-model \
      --benchmark gsm8k --output_dir runs/gsm8k

  # the long-context benchmarks of SPELL at 16K, with its sampling; longer prompts lose their middle
  python scripts/evaluate.py --model Qwen/Qwen2.5-7B-Instruct --engine vllm --num_samples 8 \
      --benchmark docmath,frames,longbench_v2,longbench_hotpotqa=hotpotqa.jsonl \
      --max_prompt_length 16384 --temperature 0.7 --top_p 0.95 --output_dir runs/long

  # a vision-language model; the file's column "images" has paths of files beside it
  python scripts/evaluate.py --model HuggingFaceTB/SmolVLM-500M-Instruct \
      --benchmark pictures.jsonl --output_dir runs/pictures

  # was this model trained on the problems it is evaluated on?
  python scripts/evaluate.py --model runs/demo --train_run runs/demo --benchmark heldout.jsonl \
      --output_dir runs/evaluation

  # grade the saved samples again, with no model; score completions from elsewhere
  python scripts/evaluate.py --rescore runs/qwen/math500
  python scripts/evaluate.py --score completions.jsonl --output_dir runs/scored

The same command continues a killed evaluation, and a larger --num_samples extends a finished one.

files in --output_dir (in a folder for each benchmark, if there are several):
  samples.jsonl   one line per problem and sample: text, answer, class of the answer, grade
  problems.jsonl  one line per problem: prompt, question, label, digests of its images
  images/         those images, each once, large ones as smaller copies
  summary.json    metric -> value, ci_low, ci_high, n, standard_error (95% interval, n problems)
  manifest.json   model, benchmark and its revision, sampling settings, seed, grader, versions

  export/FORMAT/  with --export: lighteval's details and results, lm-evaluation-harness's samples
                  and results, or MathArena's outputs; --rescore DIR --export FORMAT does it later

--score reads JSON lines {"problem_id", "completion", "label"}, one per sample, or {"id",
"completions": [...], "label"}, one per problem; rl/evaluation/saved_completions.py lists what
else may be there. It also reads what those three tools left: a details_*.parquet, a
samples_*.jsonl, and a .json.zst or a folder of them. --answer_kind hashes takes labels from ####.
"""

DEFAULT_BATCH_SIZES = {"transformers": 64}  # of others, which have queues of their own, more

RANGES = {
    **SAMPLING_RANGES,
    **ENDPOINT_RANGES,
    "num_samples": NumSamples,
    "batch_size": Count,
    "max_prompt_length": Count,
    "top_k": TopK,
    "min_p": Share,
    "seed": Seed,
    "option_seed": Seed,
}


def parse_arguments(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """Parse and check the command line.

    Raises:
        InputError: If an argument is missing or out of range.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", metavar="DIR_OR_ID", help="model folder, hub id, or name an endpoint serves")
    add(
        "--benchmark",
        metavar="NAME_OR_FILE",
        action="append",
        help="named benchmark, NAME=FILE, a file or a hub id; several with commas or repeated",
    )
    add("--list_benchmarks", action="store_true", help="show the named benchmarks and templates")
    add("--output_dir", type=Path, metavar="DIR", help="where samples and summary are written")
    add("--rescore", type=Path, metavar="DIR", help="grade the samples in DIR again, no model")
    add("--score", type=Path, metavar="FILE", help="score completions from elsewhere, no model")
    add("--num_samples", type=int, default=16, help="samples per problem, n (%(default)s)")
    add("--k", type=parse_ks, metavar="1,4,16", help="k of pass@k and maj@k (1, 4, 16, ... and n)")
    add(
        "--g_pass",
        type=parse_thresholds,
        default=(),
        metavar="0.5,1",
        help="also G-Pass@k_t for these shares t",
    )
    add(
        "--export",
        nargs="+",
        choices=list(WRITERS),
        default=[],
        metavar="FORMAT",
        help=f"write the samples for other tools, too: {', '.join(WRITERS)}",
    )
    add("--referee", choices=REFEREES, help="check every verdict with Math-Verify; minutes")
    add(
        "--train_run",
        type=Path,
        metavar="DIR",
        help="folder of the model's training run: tells transductive from held-out",
    )
    add("--seed", type=int, default=0, help="seed of all samples (%(default)s)")
    add_answer_arguments(
        parser, default="those of the saved evaluation, or boxed, final_answer_phrase"
    )
    add_problem_arguments(parser.add_argument_group("problems"))
    add_sampling_arguments(parser.add_argument_group("sampling"))
    add_model_arguments(parser.add_argument_group("model"))
    add_code_argument(parser)
    args = parser.parse_args(arguments)
    allow_code([args.engine, args.answer_kind or ()])
    if args.allow_code:
        allow_code()
    if not (args.rescore or args.list_benchmarks):
        check_arguments(args)
    return args


def add_problem_arguments(group: Any) -> None:
    """Add the arguments that say how problems are read and put."""
    add = group.add_argument
    add("--split", help="split of a hub benchmark (test, or the named benchmark's)")
    add("--config_name", help="configuration of a hub benchmark")
    add("--revision", help="branch, tag or commit of a hub benchmark (its newest)")
    add("--prompt_column", help="column with the prompt (found by itself)")
    add("--label_column", help="column with the label (found by itself)")
    add("--options_column", help="column with the list of options of a multiple choice")
    add(
        "--answer_kind",
        metavar="KIND",
        help=f"how labels are read: {', '.join(KINDS)} (an answer, a solution with the answer "
        "after ####, a letter; over documents: words that equal a right answer, words that contain "
        "it, a number, a letter) or your own as file.py:function (the named benchmark's, or maths)",
    )
    add("--documents_column", help="column with what a question is about (found by itself)")
    add(
        "--image_column",
        help="column with the problem's image or list of images: paths beside the file, bytes or "
        "data: URLs (the named benchmark's, or images or image; '' takes none)",
    )
    add(
        "--allow_remote_images",
        action="store_true",
        help="fetch images from links in the data; without it a link is refused",
    )
    add("--option_seed", type=int, default=0, help="seed of shuffled options (%(default)s)")
    add(
        "--template",
        choices=list(TEMPLATES),
        metavar="NAME",
        help="prompt template (the named benchmark's, or none): --list_benchmarks shows them; "
        "boxed-text suits a base model without a chat template",
    )
    add("--system_prompt", help="makes each prompt a chat; '' gives the user message alone")
    add("--prompt_suffix", help="put after each prompt exactly as written")


def add_sampling_arguments(group: Any) -> None:
    """Add the arguments that say what samples, and how."""
    add = group.add_argument
    add(
        "--engine",
        default="transformers",
        metavar="NAME",
        help="transformers, vllm, openai, or your own as file.py:Class (%(default)s)",
    )
    add(
        "--temperature",
        type=float,
        default=1.0,
        help="divides the logits; the default %(default)s, with --top_p 1.0, measures the policy "
        "that training improves; published numbers often use 0.6 with --top_p 0.95",
    )
    add("--top_p", type=float, default=1.0, help="nucleus sampling, 1.0 is off (%(default)s)")
    add("--top_k", type=int, default=0, help="likeliest tokens kept, 0 keeps all (%(default)s)")
    add("--min_p", type=float, default=0.0, help="drops unlikely tokens, 0 is off (%(default)s)")
    add(
        "--stop_strings",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="end a completion where one of these is written, as a base model needs that goes on "
        "with the next question: --stop_strings 'Question:' $'\\n\\n'",
    )
    add(
        "--max_completion_length",
        type=int,
        help=f"most tokens per completion ({DEFAULT_MAX_COMPLETION_LENGTH}, or what the model's "
        "context leaves after the longest prompt)",
    )
    add(
        "--max_prompt_length",
        type=int,
        help="most tokens per prompt; a longer one is cut in the middle, as LongBench does "
        "(without it, prompts that do not fit the context are refused)",
    )
    add(
        "--batch_size",
        type=int,
        help="completions sampled between two writes of samples.jsonl; with transformers they are "
        "in memory together (64 with transformers, 1024 with vllm)",
    )
    add(
        "--thinking",
        action="store_true",
        help="the model thinks first: a completion without </think> has no answer (seen by itself "
        "where prompts end with <think> or completions hold it)",
    )


def add_model_arguments(group: Any) -> None:
    """Add the arguments that say how the model, or the endpoint, is reached and told to think."""
    add = group.add_argument
    add("--chat_template", type=Path, metavar="FILE", help="Jinja file instead of the model's own")
    add(
        "--chat_template_args",
        type=parse_object,
        metavar="JSON",
        help="""for the chat template, such as '{"enable_thinking": false}'""",
    )
    add("--model_revision", help="branch, tag or commit of a hub model (its newest)")
    add_endpoint_arguments(group)


def check_arguments(args: argparse.Namespace) -> None:
    """Check what can be checked before anything is read.

    Raises:
        InputError: If an argument is missing or out of range.
    """
    for name in ("output_dir",) if args.score else ("model", "benchmark", "output_dir"):
        if getattr(args, name) is None:
            raise InputError(f"--{name}: got none, expected a value. Add it, or see --help.")
    if args.output_dir.exists() and not args.output_dir.is_dir():
        raise InputError(f"--output_dir: got {args.output_dir}, expected a folder. Name another.")
    if args.score:
        return
    check_options(args, RANGES)
    args.batch_size = args.batch_size or DEFAULT_BATCH_SIZES.get(args.engine, 1024)
    if "" in args.stop_strings:
        raise InputError("--stop_strings: got '', expected text. Leave it out.")
    if args.temperature == 0 and args.num_samples > 1:
        raise InputError(
            f"--num_samples: got {args.num_samples}, expected 1 at temperature 0, where all "
            "samples are the same. Pass --num_samples 1 or raise --temperature."
        )
    args.k = check_ks(args.k or default_ks(args.num_samples), args.num_samples)
    args.benchmark = split_benchmarks(args.benchmark)
    check_engine(args)


def check_engine(args: argparse.Namespace) -> None:
    """Check that the engine that was asked for is there.

    Raises:
        InputError: If it is not installed, or an option does not go with it.
    """
    check_endpoint(args)
    if args.engine == "openai":
        if args.max_prompt_length is not None:
            raise InputError(
                f"--max_prompt_length: got {args.max_prompt_length} with --engine openai, expected "
                "an engine that takes tokens; an endpoint makes them itself. Leave it out."
            )
        if args.chat_template:
            raise InputError(
                f"--chat_template: got {args.chat_template} with --engine openai, expected none, "
                "because the endpoint renders prompts. Start the endpoint with the template."
            )


def parse_ks(text: str) -> list[int]:
    """Parse `1,4,16`."""
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected whole numbers separated by commas, such as 1,4,16"
        ) from None


def parse_thresholds(text: str) -> tuple[float, ...]:
    """Parse `0.5,1`."""
    try:
        thresholds = tuple(float(part) for part in text.split(","))
    except ValueError:
        thresholds = (0.0,)
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected shares above 0 and at most 1 separated by commas, such as "
            "0.5,1"
        )
    return tuple(dict.fromkeys(thresholds))


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object whose keys are names."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(name.isidentifier() for name in value):
        raise argparse.ArgumentTypeError(
            f"""got {text!r}, expected a JSON object, such as '{{"enable_thinking": false}}'"""
        )
    return value
