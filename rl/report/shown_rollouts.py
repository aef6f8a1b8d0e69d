"""Choose the rollouts a report shows: whole groups, evenly spaced over a run, up to a number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.report.curves import choose_evenly
from rl.report.folders import ReportedRun, read_whole_lines
from rl.training.rollout_files import read_rollout_file

MAX_STEPS = 20
MAX_ROLLOUTS = 2000
MAX_CHARACTERS = 20_000
_GROUP_KEYS = ("prompt_id", "visit", "prompt", "role")
_EVALUATION_STEP = 0
_NOT_SHOWN_OF_SAMPLES = {
    "problem_id",
    "sample",
    "prompt_id",
    "seed",
    "choices",
    "must_close_thought",
    "grader",
}

Group = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ShownStep:
    """The groups of one generation batch that a report shows.

    Attributes:
        step: Optimizer step the batch is first used in; 0 in an evaluation.
        groups: {"prompt_id", "visit", "prompt", "role", "rollouts": [lines of the rollout file]}.
        num_groups: Groups the batch has, those left out included.
    """

    step: int
    groups: list[Group]
    num_groups: int


@dataclass(frozen=True, kw_only=True)
class ShownRollouts:
    """The rollouts of one run that a report shows, and what it leaves out.

    Attributes:
        steps: Chosen steps, ascending.
        num_steps: Steps with a rollout file.
        num_cut: Completions longer than `MAX_CHARACTERS`, of which the middle is left out.
        unreadable: One sentence for each chosen file that is damaged or still being written.
    """

    steps: list[ShownStep] = field(default_factory=list)
    num_steps: int = 0
    num_cut: int = 0
    unreadable: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """Sentences that say what is left out; none if everything is shown."""
        notes = []
        if len(self.steps) + len(self.unreadable) < self.num_steps:
            notes.append(f"{len(self.steps)} of {self.num_steps} steps with rollouts are shown.")
        shown = sum(len(step.groups) for step in self.steps)
        existing = sum(step.num_groups for step in self.steps)
        if shown < existing:
            is_evaluation = self.steps[0].step == _EVALUATION_STEP
            what = "problems" if is_evaluation else "groups of these steps"
            notes.append(f"{shown:,} of {existing:,} {what} are shown.")
        if self.num_cut:
            notes.append(
                f"Completions longer than {MAX_CHARACTERS:,} characters ({self.num_cut:,} of "
                "them) are shown without their middle."
            )
        return notes + self.unreadable


def choose_rollouts(
    run: ReportedRun,
    *,
    steps: Sequence[int] | None = None,
    max_rollouts: int = MAX_ROLLOUTS,
) -> ShownRollouts:
    """Read the rollouts of a run, or the samples of an evaluation, that the report shows.

    Args:
        run: Whose.
        steps: Steps to show; those a run does not have are passed over. None shows at most
            `MAX_STEPS`, evenly spaced, the first and the last among them. Evaluations have none.
        max_rollouts: Most rollouts to show, divided evenly over the steps, whole groups only; a
            step always shows one group.

    Raises:
        InputError: If samples.jsonl holds a line that is no JSON object.
    """
    if run.kind == "evaluation":
        groups = group_lines(map(_sample_line, read_whole_lines(run.path / "samples.jsonl")))
        return _limit([(_EVALUATION_STEP, groups)] if groups else [], 1, [], max_rollouts)
    files = rollout_files(run.path)
    wanted = choose_evenly(list(files), MAX_STEPS) if steps is None else list(steps)
    chosen = {step: files[step] for step in sorted(set(wanted)) if step in files}
    found, unreadable = [], []
    for step, path in chosen.items():
        try:
            lines = [line.value for line in read_rollout_file(path)]
        except InputError:
            unreadable.append(f"The rollouts of step {step} are damaged or still being written.")
            continue
        found.append((step, group_lines(line for line in lines if isinstance(line, dict))))
    return _limit(found, len(files), unreadable, max_rollouts)


def rollout_files(run_dir: Path) -> dict[int, Path]:
    """Return step -> file of a run's rollouts, steps ascending."""
    numbered = []
    for path in (run_dir / "rollouts").glob("step_*.jsonl.gz"):
        number = path.name.removeprefix("step_").removesuffix(".jsonl.gz")
        if number.isdecimal():
            numbered.append((int(number), path))
    return dict(sorted(numbered))


def group_lines(lines: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Join rollout lines into groups by prompt, visit and role, in order of first appearance.

    Keys of a line that nobody knows here stay with the rollout.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for line in lines:
        prompt_id, visit, prompt, role = (str(line.get(key) or "") for key in _GROUP_KEYS)
        empty = {"prompt_id": prompt_id, "visit": visit, "prompt": prompt, "role": role}
        group = groups.setdefault((prompt_id, visit, role), {**empty, "rollouts": []})
        rollout = {key: value for key, value in line.items() if key not in (*_GROUP_KEYS, "step")}
        group["rollouts"].append(rollout)
    for group in groups.values():
        if all(isinstance(rollout.get("rollout"), int) for rollout in group["rollouts"]):
            group["rollouts"].sort(key=lambda rollout: rollout["rollout"])
    return list(groups.values())


def _limit(
    found: Sequence[tuple[int, list[Group]]],
    num_steps: int,
    unreadable: list[str],
    max_rollouts: int,
) -> ShownRollouts:
    shown, num_cut = [], 0
    for step, groups in found:
        num_rollouts = sum(len(group["rollouts"]) for group in groups)
        room = max_rollouts / len(found)
        count = max(1, int(room * len(groups) / num_rollouts)) if num_rollouts else 1
        kept = choose_evenly(groups, count)
        num_cut += sum(_cut(rollout) for group in kept for rollout in group["rollouts"])
        shown.append(ShownStep(step=step, groups=kept, num_groups=len(groups)))
    return ShownRollouts(
        steps=shown, num_steps=num_steps, num_cut=num_cut, unreadable=list(unreadable)
    )


def _cut(rollout: dict[str, Any]) -> bool:
    text = rollout.get("completion")
    if not isinstance(text, str) or len(text) <= MAX_CHARACTERS:
        return False
    # The end holds the answer, the beginning the plan.
    half = MAX_CHARACTERS // 2
    left_out = len(text) - 2 * half
    rollout["completion"] = (
        f"{text[:half]}\n\n[… {left_out:,} characters left out …]\n\n{text[-half:]}"
    )
    return True


def _sample_line(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Say a sample of an evaluation in the words of a rollout line."""
    problem = str(sample.get("problem_id", ""))
    renamed = {"prompt_id": problem, "rollout": sample.get("sample")}
    rest = {key: value for key, value in sample.items() if key not in _NOT_SHOWN_OF_SAMPLES}
    return {**renamed, **rest}
