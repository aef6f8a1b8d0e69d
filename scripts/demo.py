"""The main job on a laptop: grow a tiny base model, train it on prompts without answers, compare.

Runs scripts/build_testbed.py, scripts/train.py with a recipe (recipes/demo.yaml; with --pictures
recipes/ttrl/ttrl_pictures.yaml: questions about pictures) and scripts/report.py, and prints tables.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from rl.errors import InputError, exit_on_bad_input
from rl.report.folders import is_finished
from rl.settings import Seed, check_options
from rl.training.run_lock import LOCK_FILE, check_idle
from rl.with_parent import run_or_exit


class Demo(NamedTuple):
    """What is built and trained.

    Attributes:
        kind: Option of scripts/build_testbed.py.
        testbed: Folder of the testbed.
        recipe: What is run on it.
        output_dir: Folder of the run, unless another is named.
    """

    kind: str
    testbed: Path
    recipe: str
    output_dir: Path


SUMS = Demo("--strategies", Path("runs/strategies"), "recipes/demo.yaml", Path("runs/demo"))
PICTURES = Demo(
    "--pictures",
    Path("runs/pictures"),
    "recipes/ttrl/ttrl_pictures.yaml",
    Path("runs/demo_pictures"),
)
EPILOG = """
examples:
  make demo
  python scripts/demo.py --seed 1 --output_dir runs/demo-1
  python scripts/demo.py --pictures              (a vision-language model, questions about pictures)
  python scripts/demo.py --max_steps 20          (further arguments are fields of the recipe)
"""
ROWS = {
    "pass@1": "one sample is right",
    "maj@16": "the majority of 16 is right",
    "pass@16": "any of 16 is right",
    "mean_length": "tokens per completion",
    "no_answer_frac": "share without an answer",
}


def main() -> None:
    """Build, train, show."""
    arguments, overrides = parse_arguments()
    demo = PICTURES if arguments.pictures else SUMS
    folder = arguments.output_dir or demo.output_dir
    start = time.monotonic()
    for path in (folder, earlier(folder)):
        check_replaceable(path, demo.testbed)
    run("scripts/build_testbed.py", demo.kind, "--output_dir", str(demo.testbed))
    goes_on = any(one.startswith("--resume_from_checkpoint") for one in overrides)
    with nullcontext() if goes_on else replaced(folder):
        run(
            "scripts/train.py",
            demo.recipe,
            *("--output_dir", str(folder)),
            *("--seed", str(arguments.seed)),
            *overrides,
        )
        summary = read_summary(folder)
    run("scripts/report.py", str(folder))
    print_table(summary, arguments.seed)
    print_controls(summary)
    print(f"Testbed:  {demo.testbed} (base model, unlabelled prompts, labelled held-out problems)")
    print(f"Run:      {folder} (trained model, metrics.jsonl, rollouts/, summary.json)")
    print(f"Report:   {folder / 'report.html'} (results, curves, every rollout)")
    print(f"Time:     {time.monotonic() - start:.0f} s")


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not ours goes to the training script."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the run (default 0)")
    parser.add_argument(
        "--output_dir",
        type=Path,
        help="folder of the run; an earlier demo there is replaced (default runs/demo, with "
        "--pictures runs/demo_pictures)",
    )
    parser.add_argument("--pictures", action="store_true", help="ask about pictures")
    arguments, overrides = parser.parse_known_args()
    check_options(arguments, {"seed": Seed})
    return arguments, overrides


def run(*command: str) -> None:
    """Run one of the project's scripts; if it fails, end with its exit status."""
    print(f"$ python {' '.join(command)}", flush=True)
    # A model this small gains nothing from a second thread, and on a busy machine loses much.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    run_or_exit([sys.executable, *command], environment)


def read_summary(output_dir: Path) -> dict:
    """Read what a training found.

    Raises:
        InputError: If it wrote nothing, as a dry run.
    """
    path = output_dir / "summary.json"
    if not path.is_file():
        raise InputError(
            f"{path}: got no such file, expected what a training found. Leave out what keeps it "
            "from training, such as --dry_run."
        )
    return json.loads(path.read_text())


def earlier(output_dir: Path) -> Path:
    """Return where an earlier demo stays while the next one runs."""
    output_dir = output_dir.resolve()  # where it is a link, beside what it names
    return output_dir.with_name(f"{output_dir.name}.earlier")


def check_replaceable(output_dir: Path, testbed: Path) -> None:
    """Check that a folder is free, or that an earlier demo wrote it and none is at work there.

    Raises:
        InputError: If it holds something else, or another run is at work in it.
    """
    if not output_dir.exists() or not any(path.name != LOCK_FILE for path in output_dir.iterdir()):
        return
    config = output_dir / "config.yaml"
    if not config.is_file() or str(testbed) not in config.read_text():
        raise InputError(
            f"output_dir: got {output_dir}, expected a new folder or an earlier demo's. "
            "Name another folder."
        )
    check_idle(output_dir)


@contextmanager
def replaced(output_dir: Path) -> Iterator[None]:
    """Set an earlier demo aside; it comes back if the block fails, and else is removed.

    Where a demo was killed, the one that it had set aside is that earlier demo.
    """
    output_dir, aside = output_dir.resolve(), earlier(output_dir)
    if aside.exists() and not is_finished(output_dir):
        shutil.rmtree(output_dir, ignore_errors=True)
    elif output_dir.exists():
        shutil.rmtree(aside, ignore_errors=True)
        output_dir.rename(aside)
    with ExitStack() as otherwise:
        if aside.exists():
            otherwise.callback(put_back, aside, output_dir)
        yield
        otherwise.pop_all()
    shutil.rmtree(aside, ignore_errors=True)


def put_back(aside: Path, output_dir: Path) -> None:
    """Let an earlier demo take the place of one that failed."""
    shutil.rmtree(output_dir, ignore_errors=True)
    aside.rename(output_dir)
    print(f"The earlier demo is in {output_dir} again.", file=sys.stderr)


def print_table(summary: dict, seed: int) -> None:
    """Show the held-out metrics before and after training."""
    table = Table(title=f"Held-out problems, no label used in training (seed {seed})")
    table.add_column("metric")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_column("meaning")
    for name, meaning in ROWS.items():
        values = [f"{summary[when][name]:.3f}" for when in ("before", "after")]
        table.add_row(name, *values, meaning)
    Console().print(table)


def print_controls(summary: dict) -> None:
    """Show what the base model reaches without training, and whether that was passed."""
    controls = summary["controls"]
    table = Table(title="What the base model reaches without training (pass@1, votes of 16)")
    table.add_column("control")
    table.add_column("base", justify="right")
    table.add_column("trained - base", justify="right")
    table.add_column("95% interval", justify="right")
    means = (controls["greedy"], controls["temperature"], controls["majority"])
    for mean, (name, found) in zip(means, controls["differences"].items(), strict=True):
        interval = f"{found['ci_low']:+.3f} to {found['ci_high']:+.3f}"
        table.add_row(name, f"{mean:.3f}", f"{found['difference']:+.3f}", interval)
    Console().print(table)
    print(controls["verdict"])


if __name__ == "__main__":
    with exit_on_bad_input():
        main()
