"""The rollouts a report shows of a run or an evaluation, and what it says of those left out."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from rl.errors import InputError
from rl.report.byte_budget import share_budget
from rl.report.folders import ReportedRun
from rl.report.group_choice import Candidate, candidates_of_step, choice_note, choose_groups
from rl.report.rollout_groups import MAX_CHARACTERS, Group, group_lines, is_cut
from rl.report.shown_samples import ShownProblem, choose_samples, sample_note
from rl.training.rollout_files import read_rollout_file

MAX_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class ShownStep:
    """The groups of one generation batch that a report shows.

    Attributes:
        step: Optimizer step the batch is first used in.
        groups: {"prompt_id", "visit", "prompt", "images": [digests], "role", "reasons",
            "rollouts": [lines of the rollout file]}.
    """

    step: int
    groups: list[Group]


@dataclass(frozen=True, kw_only=True)
class ShownRollouts:
    """The rollouts of one run that a report shows, and what it leaves out.

    Attributes:
        steps: Of a training run: the shown steps, ascending.
        problems: Of an evaluation: every problem.
        notes: Sentences that say what is left out and how the rest was chosen; none if everything
            is shown.
    """

    steps: list[ShownStep] = field(default_factory=list)
    problems: list[ShownProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def step_numbers(self) -> list[int]:
        """Steps there is something to show of; an evaluation has step 0 alone."""
        return [step.step for step in self.steps] or ([0] if self.problems else [])


def choose_all_rollouts(
    runs: Sequence[ReportedRun],
    *,
    steps: Sequence[int] | None = None,
    max_bytes: int = MAX_BYTES,
    show_progress: bool = False,
) -> list[ShownRollouts]:
    """Choose what a report of several runs shows, within bytes that `share_budget` divides.

    Args:
        runs: Whose rollouts.
        steps: As for `choose_rollouts`.
        max_bytes: What the rollouts of all may take once compressed.
        show_progress: Whether to show a bar.
    """
    shares = share_budget([_needed_bytes(run, steps) for run in runs], max_bytes)
    return [
        choose_rollouts(run, steps=steps, max_bytes=share, show_progress=show_progress)
        for run, share in zip(runs, shares, strict=True)
    ]


def choose_rollouts(
    run: ReportedRun,
    *,
    steps: Sequence[int] | None = None,
    max_bytes: int = MAX_BYTES,
    show_progress: bool = False,
) -> ShownRollouts:
    """Read the rollouts of a run, or the samples of an evaluation, that the report shows.

    Args:
        run: Whose.
        steps: Steps to show; those a run does not have are passed over. None chooses among all.
            Evaluations have none.
        max_bytes: What the rollouts may take once compressed.
        show_progress: Whether to show a bar over the files of a run.

    Raises:
        InputError: If samples.jsonl holds a line that is no JSON object.
    """
    if run.kind == "evaluation":
        problems = choose_samples(run, max_bytes)
        cut = sum(is_cut(rollout) for problem in problems for rollout in problem.rollouts)
        return ShownRollouts(problems=problems, notes=_notes(sample_note(problems), cut, []))
    files = _chosen_files(run.path, steps)
    candidates, unreadable = _survey(run.name, files, show_progress)
    chosen = choose_groups(candidates, max_bytes)
    shown = list(_read_chosen(files, chosen))
    cut = sum(is_cut(r) for step in shown for group in step.groups for r in group["rollouts"])
    notes = _notes(choice_note(candidates, chosen), cut, unreadable)
    num_steps = len(rollout_files(run.path))
    if len(files) < num_steps:
        notes.insert(0, f"{len(files)} of {num_steps} steps with rollouts were asked for.")
    return ShownRollouts(steps=shown, notes=notes)


def rollout_files(run_dir: Path) -> dict[int, Path]:
    """Return step -> file of a run's rollouts, steps ascending."""
    numbered = []
    for path in (run_dir / "rollouts").glob("step_*.jsonl.gz"):
        number = path.name.removeprefix("step_").removesuffix(".jsonl.gz")
        if number.isdecimal():
            numbered.append((int(number), path))
    return dict(sorted(numbered))


def _chosen_files(run_dir: Path, steps: Sequence[int] | None) -> dict[int, Path]:
    files = rollout_files(run_dir)
    return {step: path for step, path in files.items() if steps is None or step in steps}


def _survey(
    name: str, files: dict[int, Path], show_progress: bool
) -> tuple[list[Candidate], list[str]]:
    """Look at every group of the files, keeping none, and name the files that cannot be read."""
    candidates, unreadable = [], []
    for step, path in tqdm(files.items(), name, unit="step", disable=not show_progress):
        try:
            groups = _read_groups(path)
        except InputError:
            unreadable.append(f"The rollouts of step {step} are damaged or still being written.")
            continue
        candidates += candidates_of_step(step, groups)
    return candidates, unreadable


def _read_chosen(files: dict[int, Path], chosen: Sequence[Candidate]) -> Iterator[ShownStep]:
    by_step: dict[int, list[Candidate]] = {}
    for one in chosen:
        by_step.setdefault(one.step, []).append(one)
    for step, members in by_step.items():
        groups = _read_groups(files[step])
        yield ShownStep(
            step=step,
            groups=[{**groups[one.position], "reasons": one.reasons} for one in members],
        )


def _read_groups(path: Path) -> list[Group]:
    lines = [line.value for line in read_rollout_file(path)]
    return group_lines(line for line in lines if isinstance(line, dict))


def _needed_bytes(run: ReportedRun, steps: Sequence[int] | None) -> int:
    """Estimate what all rollouts of a run take once compressed, without reading them."""
    if run.kind == "run":
        # Groups are packed step by step in other pieces than in the run's files.
        files = _chosen_files(run.path, steps).values()
        return sum(2 * path.stat().st_size + 1_000 for path in files)
    samples = run.path / "samples.jsonl"
    if not samples.is_file():
        return 0
    packer = zlib.compressobj(level=1)
    with samples.open("rb") as file:
        num_bytes = sum(
            len(packer.compress(piece)) for piece in iter(lambda: file.read(2**20), b"")
        )
    return num_bytes + len(packer.flush()) + 100_000


def _notes(choice: str, num_cut: int, unreadable: list[str]) -> list[str]:
    notes = [choice] if choice else []
    if num_cut:
        notes.append(
            f"Completions longer than {MAX_CHARACTERS:,} characters ({num_cut:,} of them) are "
            "shown without their middle."
        )
    return notes + unreadable
