"""Evaluate a model on labelled problems: pass@k, avg@n, maj@k with 95% intervals."""

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rl.answers import verification_counters
from rl.data import tokenize_prompt
from rl.errors import InputError, exit_on_bad_input
from rl.evaluation.evaluate import (
    EvaluationResult,
    check_ks,
    default_ks,
    evaluate_problems,
    rescore,
)
from rl.evaluation.manifest import MANIFEST_FILE, build_manifest, open_evaluation
from rl.evaluation.problems import load_benchmark
from rl.evaluation.records import SAMPLES_FILE, SUMMARY_FILE
from rl.rollouts.engine import RolloutEngine, SamplingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EPILOG = r"""
examples:
  # 16 samples of each problem; finds the columns prompt, problem or question and label, answer or
  # final_answer by itself
  python scripts/evaluate.py --model runs/demo/checkpoint-80 --benchmark heldout.jsonl \
      --output_dir runs/evaluation

  # a chat model with vLLM, a hub benchmark, the sampling most published numbers use
  python scripts/evaluate.py --model Qwen/Qwen2.5-Math-1.5B-Instruct --engine vllm \
      --benchmark HuggingFaceH4/MATH-500 --num_samples 64 --k 1,8,64 \
      --temperature 0.6 --top_p 0.95 \
      --system_prompt 'Please reason step by step, and put your final answer within \boxed{}.' \
      --output_dir runs/math500

  # grade the saved samples again, with no model
  python scripts/evaluate.py --rescore runs/math500

The same command continues a killed evaluation, and a larger --num_samples extends a finished one.

files in --output_dir:
  samples.jsonl   one line per problem and sample: text, answer, class of the answer, grade
  summary.json    metric -> value, ci_low, ci_high, n (95% bootstrap interval over n problems)
  manifest.json   model, benchmark, sampling settings, seed, library versions
"""

DEFAULT_BATCH_SIZES = {"transformers": 64, "vllm": 1024}
DEFAULT_MAX_COMPLETION_LENGTH = 4096


@exit_on_bad_input()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one line on standard error and exit status 2."""
    args = parse_arguments(arguments)
    console = Console()
    if args.rescore:
        output_dir = args.rescore
        result = rescore(output_dir, show_progress=True)
    else:
        output_dir = args.output_dir
        result = evaluate(args, console)
    console.print(metrics_table(result))
    counters = verification_counters()
    if counters.num_timeouts + counters.num_errors:
        console.print(
            f"{counters.num_timeouts + counters.num_errors} of {counters.num_pairs} comparisons of "
            "answers by Math-Verify timed out or crashed; they count as not the same."
        )
    for name in (SAMPLES_FILE, SUMMARY_FILE, MANIFEST_FILE):
        console.print(output_dir / name, soft_wrap=True, markup=False, highlight=False)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", metavar="DIR_OR_ID", help="model folder or hub id")
    add("--benchmark", metavar="FILE_OR_ID", help="labelled problems: a file or a hub id")
    add("--output_dir", type=Path, metavar="DIR", help="where samples and summary are written")
    add("--rescore", type=Path, metavar="DIR", help="grade the samples in DIR again, no model")
    add("--num_samples", type=int, default=16, help="samples per problem, n (%(default)s)")
    add("--k", type=parse_ks, metavar="1,4,16", help="k of pass@k and maj@k (1, 4, 16, ... and n)")
    add("--split", default="test", help="split of a hub benchmark (%(default)s)")
    add("--config_name", help="configuration of a hub benchmark")
    add("--prompt_column", help="column with the prompt (found by itself)")
    add("--label_column", help="column with the label (found by itself)")
    add("--system_prompt", help="makes each prompt a chat; '' gives the user message alone")
    add("--prompt_suffix", help="put after each prompt exactly as written")
    add(
        "--temperature",
        type=float,
        default=1.0,
        help="divides the logits; the default %(default)s, with --top_p 1.0, measures the policy "
        "that training improves; published numbers often use 0.6 with --top_p 0.95",
    )
    add("--top_p", type=float, default=1.0, help="nucleus sampling, 1.0 is off (%(default)s)")
    add(
        "--max_completion_length",
        type=int,
        help=f"most tokens per completion ({DEFAULT_MAX_COMPLETION_LENGTH}, or what the model's "
        "context leaves after the longest prompt)",
    )
    add("--engine", choices=["transformers", "vllm"], default="transformers", help="(%(default)s)")
    add(
        "--batch_size",
        type=int,
        help="completions sampled between two writes of samples.jsonl; with transformers they are "
        "in memory together (64 with transformers, 1024 with vllm)",
    )
    add("--seed", type=int, default=0, help="seed of all samples (%(default)s)")
    args = parser.parse_args(arguments)
    if not args.rescore:
        check_arguments(args)
    return args


def check_arguments(args: argparse.Namespace) -> None:
    """Check what can be checked before anything is read.

    Raises:
        InputError: If an argument is missing or out of range.
    """
    for name in ("model", "benchmark", "output_dir"):
        if getattr(args, name) is None:
            raise InputError(f"--{name}: got none, expected a value. Add it, or see --help.")
    args.batch_size = args.batch_size or DEFAULT_BATCH_SIZES[args.engine]
    for name, lowest in (("num_samples", 1), ("batch_size", 1), ("max_completion_length", 1)):
        value = getattr(args, name)
        if value is not None and value < lowest:
            raise InputError(f"--{name}: got {value}, expected at least {lowest}. Raise it.")
    if args.temperature < 0 or not 0 < args.top_p <= 1:
        raise InputError(
            f"--temperature, --top_p: got {args.temperature}, {args.top_p}, expected at least 0 "
            "and in (0, 1]. Correct the one that is out of range."
        )
    if args.temperature == 0 and args.num_samples > 1:
        raise InputError(
            f"--num_samples: got {args.num_samples}, expected 1 at temperature 0, where all "
            "samples are the same. Pass --num_samples 1 or raise --temperature."
        )
    if args.engine == "vllm":
        from rl.rollouts.vllm_engine import require_vllm

        require_vllm()
    args.k = check_ks(args.k or default_ks(args.num_samples), args.num_samples)


def evaluate(args: argparse.Namespace, console: Console) -> EvaluationResult:
    """Load the problems, then the model, sample and grade."""
    benchmark = load_benchmark(
        args.benchmark,
        split=args.split,
        config_name=args.config_name,
        prompt_column=args.prompt_column,
        label_column=args.label_column,
        system_prompt=args.system_prompt,
        prompt_suffix=args.prompt_suffix,
    )
    problems = benchmark.problems
    tokenizer, max_length = load_tokenizer(args.model)
    longest_prompt = max(len(tokenize_prompt(p.prompt, tokenizer)) for p in problems)
    settings = SamplingSettings(
        max_completion_length=completion_length(
            args.max_completion_length, longest_prompt, max_length
        ),
        temperature=args.temperature,
        top_p=args.top_p,
    )
    console.print(
        f"{len(problems)} problems (prompts from column {benchmark.prompt_column!r}, labels from "
        f"{benchmark.label_column!r}), {args.num_samples} samples each, temperature "
        f"{settings.temperature}, top_p {settings.top_p}, at most "
        f"{settings.max_completion_length} tokens",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    manifest = build_manifest(
        model=args.model,
        benchmark=args.benchmark,
        problems=problems,
        num_samples=args.num_samples,
        ks=args.k,
        sampling=settings,
        engine=args.engine,
        seed=args.seed,
    )
    saved = open_evaluation(args.output_dir, manifest)
    if len(saved) == len(problems) * args.num_samples:
        console.print(f"all samples are in {args.output_dir} already", soft_wrap=True)
        return rescore(args.output_dir, show_progress=True)
    engine = load_engine(args, tokenizer, settings, longest_prompt)
    with closing(engine):
        return evaluate_problems(
            engine,
            tokenizer,
            problems,
            num_samples=args.num_samples,
            ks=args.k,
            seed=args.seed,
            batch_size=args.batch_size,
            output_dir=args.output_dir,
            show_progress=True,
        )


def load_tokenizer(model: str) -> tuple["PreTrainedTokenizerBase", int | None]:
    """Load a model's tokenizer and its longest context, in tokens; None where it states none.

    Raises:
        InputError: If there is no such model.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(model)
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"--model: got {model!r}, expected a model folder or a hub id that can be reached "
            f"({reason}). Check the path or the name."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, getattr(config.get_text_config(), "max_position_embeddings", None)


def completion_length(asked: int | None, longest_prompt: int, max_length: int | None) -> int:
    """Return the most tokens of a completion, so that prompt and completion fit the context.

    Raises:
        InputError: If they do not fit.
    """
    room = DEFAULT_MAX_COMPLETION_LENGTH if max_length is None else max_length - longest_prompt
    if max_length is not None and room < (asked or 1):
        raise InputError(
            f"--max_completion_length: got {asked or 'none'}, expected at most {room}: the longest "
            f"prompt has {longest_prompt} tokens and the model's context {max_length}. Lower it or "
            "leave out long problems."
        )
    return asked or min(room, DEFAULT_MAX_COMPLETION_LENGTH)


def load_engine(
    args: argparse.Namespace,
    tokenizer: "PreTrainedTokenizerBase",
    settings: SamplingSettings,
    longest_prompt: int,
) -> RolloutEngine:
    """Load the model into the engine that was asked for."""
    if args.engine == "vllm":
        from rl.rollouts.vllm_engine import VLLMEngine

        max_model_length = longest_prompt + settings.max_completion_length
        return VLLMEngine.from_pretrained(args.model, settings, max_model_length)
    from transformers import AutoModelForCausalLM

    from rl.rollouts.transformers_engine import TransformersEngine

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto", device_map="auto")
    return TransformersEngine(model, tokenizer, settings, args.batch_size)


def metrics_table(result: EvaluationResult) -> Table:
    """Lay the metrics out: name, value, 95% interval."""
    num_problems = len({sample.problem_id for sample in result.samples})
    table = Table(
        title=f"{num_problems} problems, {len(result.samples) // num_problems} samples each",
        caption="interval: bootstrap over problems",
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    for name, estimate in result.metrics.items():
        interval = f"{estimate.ci_low:.3f} to {estimate.ci_high:.3f}"
        table.add_row(name, f"{estimate.value:.3f}", interval)
    return table


def parse_ks(text: str) -> list[int]:
    """Parse `1,4,16`."""
    try:
        return [int(k) for k in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected whole numbers separated by commas, such as 1,4,16"
        ) from None


if __name__ == "__main__":
    main()
