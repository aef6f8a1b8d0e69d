"""Problems x evaluations, and prompts x visits: what became of each, with links to the samples."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rl.evaluation.metrics.comparison import RULE, TRANSITIONS, transition
from rl.report.folders import ReportedRun
from rl.report.rollout_groups import Group, leading_share, majority_answer
from rl.report.shown_rollouts import ShownRollouts
from rl.report.shown_samples import TITLE_CHARACTERS, ShownProblem, one_line

FLIPPED, KEPT_VOTE, UNDECIDED = "flipped", "same", "undecided"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table of shares.

    Attributes:
        title: What it shows.
        note: How to read it.
        row_name: What a row is: "problem" or "prompt".
        columns: Names of the columns.
        words: What a row can be called, for the filter.
        rows: {"id", "title", "word", "cells"}. Each cell is null or {"share": in [0, 1], "about":
            text for the pointer, "place": what a link names: "run" and, of training, "step",
            "visit", "role"}. `word` is "" where there are no two columns to compare.
    """

    title: str
    note: str
    row_name: str
    columns: list[str]
    words: list[str]
    rows: list[dict[str, Any]]


def make_grids(runs: Sequence[ReportedRun], rollouts: Sequence[ShownRollouts]) -> list[Grid]:
    """Return a grid for each set of problems that was evaluated, and for each training run.

    Args:
        runs: Everything the report is about.
        rollouts: What it shows of each.
    """
    evaluations = [
        (run.name, {problem.problem_id: problem for problem in shown.problems})
        for run, shown in zip(runs, rollouts, strict=True)
        if shown.problems
    ]
    grids = [evaluation_grid(columns) for columns in same_problems(evaluations)]
    for run, shown in zip(runs, rollouts, strict=True):
        grid = training_grid(run.name, shown)
        if grid.rows:
            grids.append(grid)
    return grids


Column = tuple[str, dict[str, ShownProblem]]


def same_problems(evaluations: Sequence[Column]) -> list[list[Column]]:
    """Put evaluations together that asked the same problems.

    Two did if one's problem ids are all among the other's, and the labels of those are the same; so
    an unfinished evaluation stands beside a finished one.

    Args:
        evaluations: Name -> problems by id, each.

    Returns:
        The sets, in the order of their first evaluations.
    """
    sets: list[list[Column]] = []
    for name, problems in evaluations:
        for members in sets:
            first = members[0][1]
            shared = first.keys() & problems.keys()
            if len(shared) == min(len(first), len(problems)) and all(
                first[one].label == problems[one].label for one in shared
            ):
                members.append((name, problems))
                break
        else:
            sets.append([(name, problems)])
    return sets


def evaluation_grid(columns: Sequence[Column]) -> Grid:
    """Return problems x evaluations: the share of right samples, and what came of the majority.

    Args:
        columns: Evaluations of the same problems, at least one; rows are in the order of the first.
    """
    ids = dict.fromkeys(name for _, problems in columns for name in problems)
    rows = []
    for name in ids:
        found = [problems.get(name) for _, problems in columns]
        known = [problem for problem in found if problem]
        titles = [p.title for p in known if p.prompt] or [known[0].title]
        word = ""
        if len(found) > 1 and found[0] and found[1]:
            word = transition(found[0].is_right, found[1].is_right)
        cells = [
            problem and _evaluation_cell(run, problem)
            for (run, _), problem in zip(columns, found, strict=True)
        ]
        rows.append({"id": name, "title": titles[0], "word": word, "cells": cells})
    names = [run for run, _ in columns]
    note, told = "A cell: the share of a problem's samples that are right.", ""
    if len(names) > 1:
        note += (
            f" Change and word: from {names[0]} to {names[1]}, where {RULE}: kept (right, right), "
            "learned (wrong, right), lost (right, wrong), never (wrong, wrong)."
        )
        counts = Counter(row["word"] for row in rows)
        told = ", ".join(f"{counts[word]:,} {word}" for word in TRANSITIONS if counts[word])
    return Grid(
        title=f"{len(rows):,} problems" + (f", {names[0]} to {names[1]}: {told}" if told else ""),
        note=note,
        row_name="problem",
        columns=names,
        words=list(TRANSITIONS) if len(names) > 1 else [],
        rows=rows,
    )


def training_grid(run: str, shown: ShownRollouts) -> Grid:
    """Return the prompts of a training run x their first and last shown visit.

    Args:
        run: Name of the run.
        shown: What is shown of it; prompts with one shown visit are left out.
    """
    visits: dict[tuple[str, str], list[tuple[int, Group]]] = {}
    for step in shown.steps:
        for group in step.groups:
            visits.setdefault((group["prompt_id"], group["role"]), []).append((step.step, group))
    rows = []
    for (prompt_id, role), found in visits.items():
        if len(found) < 2:
            continue
        cells, answers = [], []
        for step, group in (found[0], found[-1]):
            majority = majority_answer(group["rollouts"])
            answers.append(majority and majority[1])
            place = {"run": run, "step": step, "visit": group["visit"], "role": role}
            cells.append(
                {
                    "share": round(leading_share(group["rollouts"]), 3),
                    "about": f"step {step}, {majority[1] if majority else 'no majority'}",
                    "place": place,
                }
            )
        word = KEPT_VOTE if answers[0] == answers[1] else FLIPPED
        if None in answers:
            word = UNDECIDED
        title = one_line(found[0][1]["prompt"], TITLE_CHARACTERS) or f"prompt {prompt_id}"
        rows.append({"id": prompt_id, "title": title, "word": word, "cells": cells})
    flipped = sum(row["word"] == FLIPPED for row in rows)
    return Grid(
        title=f"{run}: {len(rows):,} prompts of training, the majority of {flipped:,} flipped",
        note="A cell: the share of the completions that gave the leading answer, at the first and "
        "the last visit shown here. Flipped: the majority answer is another one; undecided: one of "
        "the two visits has none, by a tie or without answers. No label is looked at: more "
        "agreement need not be right.",
        row_name="prompt",
        columns=["first visit", "last visit"],
        words=[FLIPPED, KEPT_VOTE, UNDECIDED],
        rows=rows,
    )


def _evaluation_cell(run: str, problem: ShownProblem) -> dict[str, Any]:
    return {
        "share": round(problem.num_right / problem.num_samples, 3),
        "about": f"{problem.num_right} of {problem.num_samples} right, the majority "
        f"{'right' if problem.is_right else 'not'}",
        "place": {"run": run},
    }
