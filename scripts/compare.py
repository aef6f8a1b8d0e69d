"""Run a side-by-side study: every method of a file, over seeds, then one table and one plot."""

import argparse
import json
import multiprocessing
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from rl.errors import InputError, exit_on_bad_input
from rl.plugins import add_code_argument, allow_code
from rl.report.folders import is_finished

if TYPE_CHECKING:
    from rl.report.studies import Study, StudyRow, StudyRun

COLUMNS = {  # those that no run has are left out
    "pass@1": "pass@1",
    "maj@8": "maj@8",
    "maj@16": "maj@16",
    "pass@16": "pass@16",
    "easy pass@1": "easy pass@1",
    "easy maj@16": "easy maj@16",
    "easy pass@16": "easy pass@16",
    "mixed pass@1": "mixed pass@1",
    "mixed maj@16": "mixed maj@16",
    "mixed pass@16": "mixed pass@16",
    "hard pass@1": "hard pass@1",
    "hard pass@16": "hard pass@16",
    "entropy": "entropy",
    "proposed": "selfplay/funnel/proposed",
    "informative": "selfplay/funnel/informative",
    "question tokens": "selfplay/tokens/questioner",
    "sampled tokens (M)": "sampled_tokens",
    "tokens": "mixed mean_length",
    "answers": "mixed num_distinct_answers",
}
CURVES = {  # those that no run has are left out
    "eval/pass@1": "held-out pass@1",
    "audit/accuracy": "accuracy on train prompts",
    "entropy": "entropy (nats per token)",
    "vote/num_clusters": "different answers in a group",
    "selfplay/funnel/informative": "informative questions a round",
    "selfplay/tokens/questioner": "tokens of a questioner's completion",
}
EPILOG = """
examples:
  python scripts/compare.py recipes/studies/testbed.yaml --output_dir runs/study
  python scripts/compare.py recipes/studies/testbed.yaml --output_dir runs/study --report_only

A run that has finished is not run again, and one that was stopped goes on from its checkpoint, so a
study that was stopped goes on with the same command. Ctrl-C lets runs save after their step. A
finished run whose settings the study's file has changed meanwhile is named and stops the command.
OUTPUT_DIR then holds a folder per run, logs/, results.json, table.md and curves.svg.
"""


@exit_on_bad_input("interrupted; the same command goes on where the runs stopped")
def main() -> None:
    """Run what is missing, then report."""
    arguments = parse_arguments()

    from rl.report.studies import load_study

    study = load_study(arguments.study)
    failed = []
    if not arguments.report_only:
        check_settings(study, arguments.output_dir)
        failed = run_missing(study, arguments)
    for run in failed:
        print(f"failed: {run.name}, see {log_path(run, arguments.output_dir)}", file=sys.stderr)
    report(study, arguments.output_dir)
    if failed:
        raise SystemExit(1)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", help="YAML file; rl/report/studies.py says what it holds")
    parser.add_argument("--output_dir", type=Path, required=True, help="where everything goes")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="runs at a time (default: cores)"
    )
    add_code_argument(parser)
    parser.add_argument("--report_only", action="store_true", help="run nothing, report again")
    arguments = parser.parse_args()
    if arguments.allow_code:
        allow_code()
    if arguments.workers < 1:
        raise InputError(f"--workers: got {arguments.workers}, expected at least 1. Raise it.")
    return arguments


def check_settings(study: "Study", output_dir: Path) -> None:
    """Refuse a method with a wrong setting, and finished runs of other settings, before the first.

    Raises:
        InputError: If a run's settings are wrong, or not those of its finished run.
    """
    from rl.training.changed_settings import check_finished_run
    from rl.training.recipe import load_recipe, make_config

    shared = load_recipe(study.recipe)
    for run in study.runs:
        folder = output_dir / run.name
        if is_finished(folder) or run.seed == study.runs[0].seed:
            config = make_config({**shared, **run.settings, "output_dir": str(folder)})
            if is_finished(folder):
                check_finished_run(folder, config)


def run_missing(study: "Study", arguments: argparse.Namespace) -> list["StudyRun"]:
    """Run what has no summary yet, several runs at a time; return those that failed."""
    from tqdm import tqdm

    output_dir = arguments.output_dir
    waiting = [run for run in study.runs if not is_finished(output_dir / run.name)]
    (output_dir / "logs").mkdir(parents=True, exist_ok=True)
    # The runs share the cores; a second thread each would only make them wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Every run is a process of its own, forked from one that has imported the libraries already.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["rl.training.start", "rl.training.run", "rewards"])
    failed, stopped = [], Event()
    with (
        ThreadPoolExecutor(arguments.workers) as pool,
        tqdm(total=len(study.runs), initial=len(study.runs) - len(waiting), unit="run") as bar,
    ):
        shared = (processes, study, arguments, stopped)
        started = {pool.submit(execute, run, *shared): run for run in waiting}
        try:
            for future in as_completed(started):
                bar.update()
                if future.result() != 0:
                    failed.append(started[future])
        except KeyboardInterrupt:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # also where no terminal told them; they save
            raise
    return failed


def execute(
    run: "StudyRun", processes: Any, study: "Study", arguments: argparse.Namespace, stopped: Event
) -> int:
    """Run one training run to its end, and return its exit status.

    One that a stopped study left goes on from its checkpoint, or starts anew without one.
    """
    folder = arguments.output_dir / run.name
    settings = {**run.settings, "output_dir": str(folder), "disable_tqdm": True}
    settings["resume_from_checkpoint"] = "auto"
    log = log_path(run, arguments.output_dir)
    told = (study.recipe, settings, log, arguments.allow_code)
    process = processes.Process(target=train, args=told)
    process.start()
    if stopped.is_set():  # within the seconds that a start may take
        process.terminate()
    process.join()
    return process.exitcode


@exit_on_bad_input()
def train(recipe: str, settings: dict[str, Any], log: Path, allow_any_code: bool) -> None:
    """Train in this process as scripts/train.py does; what it prints goes to a file."""
    from train import log_warnings, print_preview

    import rewards
    from rl.answers import close_verifier
    from rl.processes import end_with_parent
    from rl.training.recipe import as_arguments, load_recipe
    from rl.training.start import start_run

    end_with_parent()  # a study that is killed leaves no run behind
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    print(shlex.join(["python", "scripts/train.py", recipe, *as_arguments(settings)]), flush=True)
    log_warnings()
    if allow_any_code:
        allow_code()
    try:
        start_run({**load_recipe(recipe), **settings}, rewards, show=print_preview)
    finally:
        close_verifier()  # a forked process runs no exit handlers, and would wait for the worker


def log_path(run: "StudyRun", output_dir: Path) -> Path:
    """Where a run's output goes."""
    return output_dir / "logs" / f"{run.name}.log"


def report(study: "Study", output_dir: Path) -> None:
    """Write and print the tables, write the numbers and the plot.

    Raises:
        InputError: If no run has finished.
    """
    from dataclasses import asdict

    from rl.report.studies import collect, differences_table, markdown_table

    rows = collect(study, output_dir)
    if not rows:
        raise InputError(
            f"output_dir: got {output_dir} without a finished run, expected at least one. Leave "
            "--report_only out."
        )
    parts = []
    for variant in dict.fromkeys(row.variant for row in rows):
        under = [row for row in rows if row.variant == variant]
        columns = {
            title: name
            for title, name in (study.columns or COLUMNS).items()
            if any(name in row.values for row in under)
        }
        tables = (markdown_table(under, columns), differences_table(under, columns))
        parts += [f"{variant}:\n", *(table for table in tables if table)]
    text = "\n".join(parts)
    (output_dir / "table.md").write_text(text, encoding="utf-8")
    results = json.dumps([asdict(row) for row in rows], indent=1)
    (output_dir / "results.json").write_text(results + "\n", encoding="utf-8")
    plot_curves(study, rows, output_dir)
    print(text)
    print(f"Written to {output_dir}: table.md, results.json, curves.svg")


def plot_curves(study: "Study", rows: list["StudyRow"], output_dir: Path) -> None:
    """Draw how every method went, mean over seeds: a row per variant, a column per metric."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    variants = list(dict.fromkeys(row.variant for row in rows))
    methods = list(dict.fromkeys(run.method for run in study.runs))
    curves = {
        (method, variant): mean_curves(study, method, variant, output_dir)
        for method, variant in product(methods, variants)
    }
    metrics = [name for name in CURVES if any(found[name][1] for found in curves.values())]
    figure, axes = plt.subplots(
        len(variants), len(metrics), figsize=(15, 4 * len(variants) + 2), squeeze=False
    )
    colors = plt.get_cmap("tab20")
    for variant, axes_of_variant in zip(variants, axes, strict=True):
        for metric, panel in zip(metrics, axes_of_variant, strict=True):
            for number, method in enumerate(methods):
                tokens, values = curves[method, variant][metric]
                style = {"color": colors(number % 20), "linestyle": "-" if number % 2 else "--"}
                panel.plot(tokens, values, label=method, linewidth=1.2, **style)
            panel.set(title=f"{variant}: {CURVES[metric]}", xlabel="sampled tokens")
            panel.grid(alpha=0.3)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 1.2 / figure.get_figheight(), 1, 1))
    figure.savefig(output_dir / "curves.svg")


def mean_curves(
    study: "Study", method: str, variant: str, output_dir: Path
) -> dict[str, tuple[list[float], list[float]]]:
    """Average the metrics of `CURVES` over the finished seeds of a method, see `mean_curve`."""
    from rl.report.studies import read_curves

    runs = [
        read_curves(output_dir / run.name)
        for run in study.runs
        if (run.method, run.variant) == (method, variant) and is_finished(output_dir / run.name)
    ]
    nothing: dict[str, list[float]] = {"tokens": [], "value": []}
    return {
        metric: mean_curve([curves.get(metric, nothing) for curves in runs]) for metric in CURVES
    }


def mean_curve(
    curves: Sequence[dict[str, list[float]]],
) -> tuple[list[float], list[float]]:
    """Average a metric over seeds and over up to 9 steps, which differ in their prompts."""
    import numpy as np

    length = min((len(curve["value"]) for curve in curves), default=0)
    width = min(9, max(1, length // 5))  # a metric of a few evaluations is shown as it is
    window = np.ones(width) / width
    smooth = [
        np.convolve(np.mean([curve[axis][:length] for curve in curves], axis=0), window, "valid")
        for axis in ("tokens", "value")
        if length
    ]
    return (smooth[0].tolist(), smooth[1].tolist()) if smooth else ([], [])


if __name__ == "__main__":
    main()
