"""Write one HTML page about runs and evaluations: results, curves, costs, settings, rollouts."""

import argparse
import math
import sys
from pathlib import Path

from rl.data.whole_files import check_output
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

    from rl.report.writing import write_report

    notes = write_report(
        arguments.runs,
        arguments.output,
        steps=arguments.steps,
        max_megabytes=arguments.max_megabytes,
        smoothing=arguments.smoothing,
        show_progress=sys.stderr.isatty(),
    )
    print(f"{arguments.output}  ({arguments.output.stat().st_size / 1e6:.1f} MB)")
    for note in notes:
        print(f"  {note}")


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
    else:
        check_output(arguments.output)
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
