"""Evaluate a model on labelled problems: pass@k, avg@n, maj@k, pass^k with 95% intervals."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from rl.answers import close_verifier, verification_counters
from rl.answers.options import use_answer_arguments
from rl.errors import exit_on_bad_input
from rl.evaluation.evaluate import EvaluationResult, evaluate_problems, rescore
from rl.evaluation.exchange.formats import export_samples
from rl.evaluation.manifest import (
    MANIFEST_FILE,
    build_manifest,
    open_evaluation,
    read_manifest,
)
from rl.evaluation.models import EnginePlan, plan_engine
from rl.evaluation.options import parse_arguments
from rl.evaluation.overlap import Overlap, find_overlap, read_train_prompts
from rl.evaluation.printing import (
    benchmarks_table,
    metrics_table,
    overview_table,
    templates_table,
)
from rl.evaluation.problems.labelled import Benchmark, default_template, load_benchmark
from rl.evaluation.problems.registry import short_name
from rl.evaluation.records import SAMPLES_FILE, SUMMARY_FILE
from rl.evaluation.referee import judge
from rl.evaluation.remarks import label_remarks, sample_remarks
from rl.evaluation.saved_completions import score_file


class Finished(NamedTuple):
    """An evaluation that is done: its folder, what was found, what the model was trained on."""

    output_dir: Path
    result: EvaluationResult
    overlap: Overlap | None = None


@exit_on_bad_input()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one line on standard error and exit status 2."""
    args = parse_arguments(arguments, str(__doc__))
    console = Console()
    if args.list_benchmarks:
        console.print(benchmarks_table(), templates_table())
        return
    if args.rescore:
        finished = rescore_folders(args)
    elif args.score:
        finished = {"": score(args)}
    else:
        try:
            finished = evaluate(args, console)
        except KeyboardInterrupt:
            print("interrupted; the same command continues with what was sampled", file=sys.stderr)
            close_verifier()
            sys.stderr.flush()
            os._exit(130)  # To tear down all that was imported takes longer than one waits.
    for name, one in finished.items():
        show(console, name if len(finished) > 1 else "", one, args)
    if len(finished) > 1:
        console.print(overview_table({name: one.result for name, one in finished.items()}))
    counters = verification_counters()
    if counters.num_failed:
        console.print(
            f"{counters.num_failed} of {counters.num_pairs} comparisons of answers by Math-Verify "
            "timed out or crashed; they count as not the same."
        )


def evaluate(args: argparse.Namespace, console: Console) -> dict[str, Finished]:
    """Load the problems, then the model, sample and grade."""
    args.answer_methods = use_answer_arguments(args)
    benchmarks = {short_name(place): read_benchmark(args, place) for place in args.benchmark}
    overlaps: dict[str, Overlap] = {}
    if args.train_run:
        seen = read_train_prompts(args.train_run)
        overlaps = {name: find_overlap(one.problems, seen) for name, one in benchmarks.items()}
    plan = plan_engine(args, list(benchmarks.values()))
    folders = {
        name: args.output_dir / name if len(benchmarks) > 1 else args.output_dir
        for name in benchmarks
    }
    num_missing = {}
    for place, (name, benchmark) in zip(args.benchmark, benchmarks.items(), strict=True):
        labels = {problem.id: problem.label for problem in benchmark.problems}
        lines = [description(benchmark, args, plan)]
        lines += [f"note: {remark}" for remark in label_remarks(labels)]
        console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
        manifest = describe(args, place, benchmark, plan, overlaps.get(name))
        saved = open_evaluation(folders[name], manifest)
        num_missing[name] = len(benchmark.problems) * args.num_samples - len(saved)
    results = {}
    for name in (name for name in benchmarks if num_missing[name] <= 0):
        console.print(f"all samples are in {folders[name]} already", soft_wrap=True)
        results[name] = rescore(folders[name], show_progress=True, thresholds=args.g_pass)
    pending = [name for name in benchmarks if num_missing[name] > 0]
    if pending:
        with closing(plan.open()) as engine:
            for name in pending:
                results[name] = evaluate_problems(
                    engine,
                    plan.tokenizer,
                    benchmarks[name].problems,
                    num_samples=args.num_samples,
                    ks=args.k,
                    seed=args.seed,
                    methods=args.answer_methods,
                    batch_size=args.batch_size,
                    output_dir=folders[name],
                    show_progress=True,
                    thresholds=args.g_pass,
                    must_close_thought=args.thinking,
                    max_prompt_length=args.max_prompt_length,
                    image_inputs=plan.image_inputs,
                )
            if malformed := getattr(engine, "malformed", []):
                console.print(
                    f"{len(malformed)} replies of the endpoint were no completions and were asked "
                    f"for again, such as {malformed[0]}",
                    soft_wrap=True,
                )
    return {
        name: Finished(output_dir=folders[name], result=results[name], overlap=overlaps.get(name))
        for name in benchmarks
    }


def read_benchmark(args: argparse.Namespace, place: str) -> Benchmark:
    """Load one benchmark, put in the template the user names or, without own words, its own."""
    has_own_words = args.system_prompt is not None or args.prompt_suffix is not None
    return load_benchmark(
        place,
        split=args.split,
        config_name=args.config_name,
        prompt_column=args.prompt_column,
        label_column=args.label_column,
        options_column=args.options_column,
        documents_column=args.documents_column,
        image_column=args.image_column,
        allow_remote_images=args.allow_remote_images,
        kind=args.answer_kind,
        revision=args.revision,
        template=args.template or (None if has_own_words else default_template(place)),
        system_prompt=args.system_prompt,
        prompt_suffix=args.prompt_suffix,
        option_seed=args.option_seed,
    )


def describe(
    args: argparse.Namespace,
    place: str,
    benchmark: Benchmark,
    plan: EnginePlan,
    overlap: Overlap | None,
) -> dict[str, Any]:
    """Build one benchmark's manifest."""
    more: dict[str, Any] = {
        "dataset": {
            "place": benchmark.place,
            "revision": benchmark.revision,
            "revision_asked": args.revision,
            "fingerprint": benchmark.fingerprint,
            "prompt_column": benchmark.prompt_column,
            "label_column": benchmark.label_column,
            "expected_size": benchmark.expected_size,
        },
        "num_cut_prompts": plan.num_cut_prompts.get(benchmark.name, 0),
        "template": benchmark.template,
    }
    if args.base_url:
        more["base_url"] = args.base_url
    if overlap is not None:
        more |= overlap.as_facts(args.train_run)
    return build_manifest(
        model=args.model,
        benchmark=place,
        problems=benchmark.problems,
        num_samples=args.num_samples,
        ks=args.k,
        sampling=plan.settings,
        engine=args.engine,
        seed=args.seed,
        methods=args.answer_methods,
        more_settings={
            **plan.facts,
            "thinking": args.thinking,
            "max_prompt_length": args.max_prompt_length,
            "chat_template_args": args.chat_template_args,
        },
        more=more,
    )


def description(benchmark: Benchmark, args: argparse.Namespace, plan: EnginePlan) -> str:
    """Say in one line what is sampled, and in another what is odd about it."""
    settings = plan.settings
    num_problems = len(benchmark.problems)
    text = (
        f"{benchmark.name}: {num_problems} problems (prompts from column "
        f"{benchmark.prompt_column!r}, labels from {benchmark.label_column!r}), "
        f"{args.num_samples} samples each, temperature {settings.temperature}, top_p "
        f"{settings.top_p}, at most {settings.max_completion_length} tokens"
    )
    if num_images := len({d for p in benchmark.problems for d in p.image_digests}):
        text += f", {num_images} images"
    if benchmark.template:
        text += f", template {benchmark.template}"
    if num_cut := plan.num_cut_prompts.get(benchmark.name):
        text += f", {num_cut} prompts cut in the middle to {args.max_prompt_length} tokens"
    if benchmark.revision:
        text += f", revision {benchmark.revision}"
    if benchmark.expected_size not in (None, num_problems):
        text += (
            f"\nnote: {benchmark.name} is known with {benchmark.expected_size} problems; numbers "
            f"on {num_problems} are not comparable"
        )
    return text


def score(args: argparse.Namespace) -> Finished:
    """Grade completions from elsewhere."""
    result = score_file(
        args.score,
        args.output_dir,
        ks=args.k,
        thresholds=args.g_pass,
        methods=use_answer_arguments(args),
        kind=args.answer_kind,
        show_progress=True,
    )
    return Finished(output_dir=args.output_dir, result=result)


def rescore_folders(args: argparse.Namespace) -> dict[str, Finished]:
    """Grade a folder again, or each of the benchmarks' folders in it."""
    folder = args.rescore
    folders = {"": folder}
    if not (folder / MANIFEST_FILE).exists():
        within = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_FILE}"))
        folders = {path.name: path for path in within} or folders
    return {name: rescore_folder(args, path) for name, path in folders.items()}


def rescore_folder(args: argparse.Namespace, folder: Path) -> Finished:
    """Grade a folder again, by its own rules where the command line names no others."""
    saved = read_manifest(folder, "--rescore")
    methods = use_answer_arguments(args, saved)
    result = rescore(folder, methods=methods, show_progress=True, ks=args.k, thresholds=args.g_pass)
    return Finished(output_dir=folder, result=result)


def show(console: Console, name: str, finished: Finished, args: argparse.Namespace) -> None:
    """Print one evaluation: its metrics, what is odd, whether it was trained on, and its files."""
    samples = finished.result.samples
    console.print(metrics_table(finished.result, name))
    # Of problems that are sampled the labels were looked at before.
    labels = {s.problem_id: s.label for s in samples} if args.rescore or args.score else {}
    for remark in [*label_remarks(labels), *sample_remarks(samples)]:
        console.print(f"note: {remark}", soft_wrap=True, markup=False, highlight=False)
    if finished.overlap is not None:
        console.print(
            f"{finished.overlap.label} (compared with {finished.overlap.num_train_prompts} prompts "
            "of the training run)",
            soft_wrap=True,
        )
    files = [finished.output_dir / file for file in (SAMPLES_FILE, SUMMARY_FILE, MANIFEST_FILE)]
    files += export_samples(finished.output_dir, args.export)
    if args.referee:
        report = judge(samples, show_progress=True)
        files.append(report.write(finished.output_dir))
        console.print(
            f"the referee, {args.referee}, agrees on {report.agreement:.4%} of "
            f"{report.num_samples} completions",
            soft_wrap=True,
        )
        for kind, count in report.kinds().items():
            console.print(f"  {count}: {kind}", soft_wrap=True)
    for file in files:
        console.print(file, soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    main()
