"""Compare evaluations of the same problems: paired differences, tests, and what was learned."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rl.data.whole_files import check_output, write_whole
from rl.errors import exit_on_bad_input
from rl.evaluation.metrics.comparison import TRANSITIONS, compare, read_evaluation
from rl.evaluation.options import parse_ks
from rl.settings import NumSamples, Seed, check_options

EPILOG = """
example:
  python scripts/compare_evaluations.py runs/eval_base runs/eval_trained --output compared.json
  python scripts/compare_evaluations.py runs/eval_base runs/eval_trained runs/eval_random_reward

A is where one starts from, such as the base model. Each other evaluation is compared with it,
problem by problem: the mean difference, its 95% interval (paired bootstrap over problems and
samples), the exact sign test and a sign-flip permutation test. Beside the trained model's pass@1
stands the base model's vote over all samples that both have, whatever --k says, which costs no
training. To "beat" it, or to "fall short of" it, takes an interval without zero and p < 0.05.

A problem counts as right if its majority answer is: the largest class of its samples' answers is
the label's, alone in the first place. From A to B it is kept (right, right), learned (wrong,
right), lost (right, wrong) or never (wrong, wrong).

The folders are those evaluate.py writes. To compare completions from elsewhere, score them first
(evaluate.py --score). Training runs as a whole are compared by compare.py.
"""


@exit_on_bad_input()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one line on standard error and exit status 2."""
    args = parse_arguments(arguments)
    console = Console()
    base = read_evaluation(args.a)
    comparisons = [
        compare(base, read_evaluation(folder), args.k, args.seed) for folder in args.others
    ]
    for comparison in comparisons:
        show(console, comparison)
    if args.output:
        document = comparisons[0] if len(comparisons) == 1 else {"comparisons": comparisons}
        write_whole(args.output, json.dumps(document, indent=2) + "\n")
        console.print(args.output, soft_wrap=True, markup=False, highlight=False)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", type=Path, metavar="A", help="folder of an evaluation, the base")
    parser.add_argument(
        "others", type=Path, metavar="B", nargs="+", help="evaluations to compare with it"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the comparison as JSON")
    parser.add_argument(
        "--k", type=parse_ks, metavar="1,4,16", help="k of pass@k and maj@k (1, 4, 16, ... and n)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of intervals (%(default)s)")
    args = parser.parse_args(arguments)
    check_options(args, {"seed": Seed, "k": list[NumSamples]})
    if args.output:
        check_output(args.output)
    return args


def show(console: Console, comparison: dict[str, Any]) -> None:
    """Print one comparison: differences, the base's vote, what was learned, what else differs."""
    a, b = comparison["a"], comparison["b"]
    lines = [f"A: {describe(a)}", f"B: {describe(b)}"]
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
    console.print(differences_table(comparison))
    anchor = comparison["anchor"]
    k = anchor["k"]
    console.print(
        f"B's single answers (pass@1 {anchor['b']:.3f}) {anchor['verdict']} A's vote over {k} "
        f"samples (maj@{k} {anchor['a']:.3f}): {anchor['difference']:+.3f}, 95% interval "
        f"{anchor['ci_low']:+.3f} to {anchor['ci_high']:+.3f}, flip p "
        f"{probability(anchor['permutation_p'])}",
        soft_wrap=True,
    )
    console.print(transitions_table(comparison))
    for note in comparison["notes"]:
        console.print(f"note: {note}", soft_wrap=True, markup=False, highlight=False)


def describe(side: dict[str, Any]) -> str:
    """Name one side: its folder, its model, and whether that was trained on the problems."""
    facts = [f"{side['num_samples']} samples per problem"]
    if side["model"]:
        facts.insert(0, f"model {side['model']}")
    if side["trained_on"]:
        facts.append(side["trained_on"])
    return f"{side['folder']} ({', '.join(facts)})"


def differences_table(comparison: dict[str, Any]) -> Table:
    """Lay the metrics out: A, B, the difference with its interval and tests."""
    table = Table(
        title=f"{comparison['num_problems']} problems",
        caption="interval: paired bootstrap; sign: exact test; flip: permutation of signs",
        box=box.SIMPLE_HEAD,  # fits 80 columns; on fewer, numbers go on below, and none is cut
        padding=0,
        show_edge=False,
    )
    table.add_column("metric", no_wrap=True)
    for column in ("A", "B", "B - A", "95% interval", "better\n/worse", "sign p", "flip p"):
        table.add_column(column, justify="right", overflow="fold")
    for name, one in comparison["metrics"].items():
        table.add_row(
            name,
            number(one["a"]),
            number(one["b"]),
            number(one["difference"], "+"),
            f"{number(one['ci_low'], '+')} to {number(one['ci_high'], '+')}",
            f"{one['num_better']}/{one['num_worse']}",
            probability(one["sign_test_p"]),
            probability(one["permutation_p"]),
        )
    return table


def number(value: float, sign: str = "") -> str:
    """Write a share or a count of tokens; `sign` is "+" for one that always has a sign."""
    return f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign}.1f}"


def probability(p: float) -> str:
    """Write a p-value; no test here tells one below 0.001 from zero.

    Example:
        >>> probability(0.0004), probability(0.05)
        ('<0.001', '0.050')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def transitions_table(comparison: dict[str, Any]) -> Table:
    """Count kept, learned, lost and never problems and name the first of each."""
    table = Table(title="majority answer from A to B", caption=comparison["rule"])
    for column in ("", "A", "B", "problems", "share", "which"):
        table.add_column(column, justify="right" if column in ("problems", "share") else "left")
    sides = {
        "kept": ("right", "right"),
        "learned": ("wrong", "right"),
        "lost": ("right", "wrong"),
        "never": ("wrong", "wrong"),
    }
    for name in TRANSITIONS:
        found = comparison["transitions"][name]
        first = ", ".join(found[:4]) + (", …" if len(found) > 4 else "")
        share = len(found) / comparison["num_problems"]
        table.add_row(name, *sides[name], str(len(found)), f"{share:.3f}", first)
    return table


if __name__ == "__main__":
    main()
