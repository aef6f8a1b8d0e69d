"""Write one HTML page about runs and evaluations: results, curves, costs, settings, rollouts."""

import argparse
import math
import sys
from datetime import datetime
from pathlib import Path

from rl.errors import InputError, exit_on_bad_input

EPILOG = """
examples:
  python scripts/report.py runs/demo                          (writes runs/demo/report.html)
  python scripts/report.py runs/ttrl runs/random runs/eval --output report.html
  python scripts/report.py runs/demo --steps 1,10,50 --max_megabytes 20

RUN is the folder of a training run, finished or not, or of an evaluation. The page is complete in
itself: send it to anybody, it loads nothing. A link such as report.html#run=demo&step=10 opens the
rollouts of that step.
"""
DEFAULT_MAX_MEGABYTES = 5.0


@exit_on_bad_input()
def main() -> None:
    """Check, read, write."""
    arguments = parse_arguments()

    from rl.data.whole_files import write_whole
    from rl.report.folders import read_folders
    from rl.report.packing import rollout_room
    from rl.report.page import render_page
    from rl.report.rendered_maths import MATHS_SHARE, RenderedMaths, render_maths
    from rl.report.shown_rollouts import ShownRollouts, choose_all_rollouts, rollout_files

    runs = read_folders(arguments.runs)
    if arguments.steps is not None:
        known = {step for run in runs for step in rollout_files(run.path)}
        for step in arguments.steps:
            if step not in known:
                nearby = ", ".join(map(str, sorted(known, key=lambda s: abs(s - step))[:5]))
                raise InputError(
                    f"--steps: got {step}, expected steps with rollouts. "
                    f"Nearest to it: {nearby or 'none, no run has any'}."
                )
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    about = {"smoothing": arguments.smoothing, "date": date}
    without_rollouts = render_page(runs, [ShownRollouts() for _ in runs], RenderedMaths(), **about)
    room = rollout_room(int(arguments.max_megabytes * 1e6), len(without_rollouts))
    show_progress = sys.stderr.isatty()
    rollouts = choose_all_rollouts(
        runs,
        steps=arguments.steps,
        max_bytes=int(room * (1 - MATHS_SHARE)),
        show_progress=show_progress,
    )
    max_bytes = int(room * MATHS_SHARE)
    maths = render_maths(rollouts, max_bytes=max_bytes, show_progress=show_progress)
    page = render_page(runs, rollouts, maths, **about)
    # A lone surrogate in a run's name cannot be written in UTF-8.
    page = page.encode("utf-8", errors="replace").decode("utf-8")
    write_whole(arguments.output, page)
    print(f"{arguments.output}  ({arguments.output.stat().st_size / 1e6:.1f} MB)")
    for run, shown in zip(runs, rollouts, strict=True):
        for note in shown.notes:
            print(f"  {run.name}: {note}")
    if maths.note:
        print(f"  {maths.note}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and check what can be checked without reading a run.

    Raises:
        InputError: If a number is out of range or there is no place for the page.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder of a run or an evaluation"
    )
    parser.add_argument(
        "--output", type=Path, help="the page (default RUN/report.html; needed for several runs)"
    )
    parser.add_argument(
        "--steps",
        help="steps whose rollouts are shown, such as 1,10,50 (default: of all steps what fits)",
    )
    parser.add_argument(
        "--max_megabytes",
        type=float,
        default=DEFAULT_MAX_MEGABYTES,
        help="size of the page: as many rollouts are shown as fit, those that show most first "
        f"(default {DEFAULT_MAX_MEGABYTES:g})",
    )
    parser.add_argument(
        "--smoothing",
        type=int,
        default=1,
        help="logged steps a curve is averaged over when the page opens (default 1); a slider "
        "changes it",
    )
    arguments = parser.parse_args()
    for name in ("max_megabytes", "smoothing"):
        if not 1 <= getattr(arguments, name) < math.inf:
            raise InputError(
                f"--{name}: got {getattr(arguments, name)}, expected at least 1. Raise it."
            )
    arguments.steps = None if arguments.steps is None else parse_steps(arguments.steps)
    if arguments.output is None:
        if len(arguments.runs) > 1:
            raise InputError(
                f"--output: got none for {len(arguments.runs)} runs, expected a file. Add "
                "--output report.html."
            )
        arguments.output = arguments.runs[0] / "report.html"
    elif arguments.output.is_dir() or not arguments.output.parent.is_dir():
        raise InputError(
            f"--output: got {arguments.output}, expected a file in an existing folder. Name a "
            "file, or create the folder first."
        )
    return arguments


def parse_steps(text: str) -> list[int]:
    """Read steps such as 1,10,50.

    Raises:
        InputError: If a part is no whole number.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise InputError(
            f"--steps: got {text!r}, expected whole numbers with commas. Write them as 1,10,50."
        )
    return [int(part) for part in parts]


if __name__ == "__main__":
    main()
