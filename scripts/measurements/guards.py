"""Replay a guard over finished runs: which it would have stopped, and what that would have saved.

Every run needs labelled held-out problems that were evaluated on a schedule (eval_benchmarks,
eval_every); the guard sees none of the labels. A run collapses if it ends more than MAX_LOSS below
its best evaluation, the untouched model's included; else it is healthy. With the guard a run keeps
the policy of its last evaluation up to the step the guard calls healthy, as if there were a
checkpoint at every evaluation.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from rl.errors import InputError, exit_on_bad_input
from rl.training.guards.registry import build_guards
from rl.training.guards.replay import first_answer, replayed_reports

MAX_LOSS = 0.05
EPILOG = """
example:
  python scripts/measurements/guards.py runs/study_guards
  python scripts/measurements/guards.py runs/study_guards --settings '{max_flip_share: 0.2}'
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a guard would have done in one run.

    Attributes:
        name: The run's folder.
        best: Highest held-out pass@1, the untouched model's included.
        final: That of the last policy.
        alarm: Step of the alarm; None without one.
        healthy_step: What the guard calls the last good step.
        kept: pass@1 of the policy that is kept with the guard.
        cause: What the guard says.
    """

    name: str
    best: float
    final: float
    alarm: int | None
    healthy_step: int | None
    kept: float
    cause: str

    @property
    def collapses(self) -> bool:
        """Whether the run ends well below its best policy."""
        return self.best - self.final > MAX_LOSS


@exit_on_bad_input()
def main() -> None:
    """Replay every run below the folders, print a table and a summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="with runs in them, at any depth")
    parser.add_argument("--guard", default="collapse", help="its name (default: collapse)")
    parser.add_argument("--settings", default="{}", help="the guard's settings, as YAML")
    parser.add_argument(
        "--without_held_out", action="store_true", help="hide what held-out prompts say of it"
    )
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.settings)
    runs = sorted(path.parent for f in arguments.folders for path in f.rglob("summary.json"))
    if not runs:
        raise InputError(f"folders: got {arguments.folders} without a finished run. Name others.")
    bases = untouched_models(runs)
    outcomes = [
        replay(run, bases, arguments.guard, settings, not arguments.without_held_out)
        for run in runs
    ]
    print(table(outcomes))
    print(summary(outcomes))


def untouched_models(runs: Sequence[Path]) -> dict[str, float]:
    """Return pass@1 of each model and benchmark before training, as far as a run has measured it.

    The runs of a study share it (`scripts/compare.py`); one of the same seed comes first.
    """
    found = {}
    for run in runs:
        before = json.loads((run / "summary.json").read_text()).get("before")
        if before:
            found.setdefault(kind_of(run), before["pass@1"])
            found[f"{kind_of(run)} {settings_of(run)['seed']}"] = before["pass@1"]
    return found


def kind_of(run: Path) -> str:
    """Name what a run starts from and is measured on."""
    settings = settings_of(run)
    return f"{settings['model']} {settings['eval_benchmarks']}"


def settings_of(run: Path) -> dict[str, Any]:
    """Read a run's settings."""
    return yaml.safe_load((run / "config.yaml").read_text())["settings"]


def replay(
    run: Path, bases: dict[str, float], guard: str, settings: dict[str, Any], held_out: bool
) -> Outcome:
    """Ask the guard at every step of a run.

    Raises:
        InputError: If the untouched model was never evaluated.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["eval/pass@1"] for line in lines if "eval/pass@1" in line}
    if 0 not in scores and kind_of(run) not in bases:
        raise InputError(f"{run}: got no evaluation of its untouched model. Set eval_base: true.")
    settings_here = settings_of(run)
    kind = kind_of(run)
    scores.setdefault(0, bases.get(f"{kind} {settings_here['seed']}", bases.get(kind, 0.0)))
    length = settings_here["max_completion_length"]
    answer = first_answer(
        build_guards({guard: settings})[guard], replayed_reports(lines, length, held_out)
    )
    alarm, verdict = answer if answer else (None, None)
    last = max(scores)
    healthy = None if verdict is None else verdict.healthy_step
    until = last if healthy is None else healthy
    return Outcome(
        name=f"{run.parent.name}/{run.name}",
        best=max(scores.values()),
        final=scores[last],
        alarm=alarm,
        healthy_step=healthy,
        kept=scores[max(step for step in scores if step <= until)],
        cause="" if verdict is None else verdict.cause,
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Lay out the outcomes as Markdown, collapsing runs first."""
    rows = ["| run | best | final | alarm | last good | kept | lost | cause |", "|---" * 8 + "|"]
    for one in sorted(outcomes, key=lambda outcome: (not outcome.collapses, outcome.name)):
        alarm = "-" if one.alarm is None else one.alarm
        healthy = "-" if one.healthy_step is None else one.healthy_step
        rows.append(
            f"| {one.name} | {one.best:.3f} | {one.final:.3f} | {alarm} | {healthy} | "
            f"{one.kept:.3f} | {one.best - one.kept:.3f} | {one.cause} |"
        )
    return "\n".join(rows)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Say in how many runs the guard did what it is for."""
    collapsing = [one for one in outcomes if one.collapses]
    healthy = [one for one in outcomes if not one.collapses]
    saved = sum(one.best - one.kept <= MAX_LOSS for one in collapsing)
    false = sum(one.alarm is not None for one in healthy)
    return (
        f"collapsing: {saved} of {len(collapsing)} keep a policy within {MAX_LOSS} of the best\n"
        f"healthy: {false} of {len(healthy)} would have been stopped"
    )


if __name__ == "__main__":
    main()
