"""Easy first: prompts on which the model agrees with itself come before the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from rl.answers.votes import count_votes
from rl.data.json_lines import read_json_lines
from rl.errors import InputError
from rl.settings import PositiveShare, checked
from rl.training.curriculum.contract import PromptFact, State
from rl.types import Group

WHAT = "curriculum.easy_first.majority_ratios"


@checked
@dataclass(kw_only=True)
class EasyFirst:
    """Visit prompts by the share of their leading answer, largest first; no label is needed.

    The share is the base model's, from a file, or the policy's own at its last visit. Prompts with
    equal shares keep the order of the seed and the epoch. Without a file the first epoch is in that
    order, and a prompt that was never visited comes last.

    Source: SRT, arXiv 2505.21444, which trains on the third of DAPO's prompts whose majority is
    most frequent among the base model's answers, so that self-training does not collapse
    (tajwarfahim/srt, README: dapo_easy_one_third_sorted_by_frequency_of_majority_answer). Differs:
    the order within that share is easy first, where the authors' loader shuffles it; following the
    policy's own votes is ours.

    Attributes:
        majority_ratios: JSON lines {"id", "majority_ratio"}, plain or .gz, as `solve.py` and
            `vote.py` write them: a line for each prompt, whose id is its row in the data set, from
            0, or its prompt_id. None: what is remembered of the last visit.
        share: Of the prompts, the easiest, that are visited at all, rounded up.
    """

    majority_ratios: str | None = None
    share: PositiveShare = 1.0
    _remembered: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Return the easiest rows, easiest first.

        Raises:
            InputError: If the file cannot be read, or lacks a prompt.
        """
        if self.majority_ratios is None:
            # Before anything is known none is easier, and all must be visited once.
            if not self._remembered:
                return list(rows)
            ratios = {row: self._remembered.get(prompts[row].prompt_id, -1.0) for row in rows}
        else:
            known = read_majority_ratios(Path(self.majority_ratios).expanduser())
            ratios = {row: _ratio(known, prompts[row]) for row in rows}
        easiest = sorted(rows, key=lambda row: -ratios[row])
        return easiest[: ceil(self.share * len(easiest))]

    def observe(self, groups: Sequence[Group]) -> None:
        """Remember the share of the leading answer of each prompt that was sampled."""
        if self.majority_ratios is None:
            for group in groups:
                vote = count_votes([rollout.cluster for rollout in group.rollouts])
                self._remembered[group.prompt_id] = vote.majority_ratio

    def state_dict(self) -> State:
        """What is remembered, as plain JSON."""
        return {"majority_ratios": self._remembered}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""
        self._remembered = dict(state["majority_ratios"])


def read_majority_ratios(path: Path) -> dict[str, float]:
    """Read how far a model agreed with itself on each prompt.

    Returns:
        Id as text -> share of the leading answer.

    Raises:
        InputError: If there is no such file, or a line is of another kind.
    """
    if not path.is_file():
        raise InputError(
            f"{WHAT}: got {str(path)!r}, expected an existing file. Write one with "
            "scripts/solve.py QUESTIONS --model BASE --output FILE."
        )
    found = {}
    with path.open("rb") as file:
        for number, line, _ in read_json_lines(file, path):
            value: Any = line if isinstance(line, dict) else {}
            ratio, name = value.get("majority_ratio"), value.get("id")
            is_share = isinstance(ratio, int | float) and 0 <= ratio <= 1
            if not is_share or not isinstance(name, int | str):
                raise InputError(
                    f"{path} line {number}: got {str(line)[:60]}, expected an id and a "
                    "majority_ratio from 0 to 1. Correct or remove the line."
                )
            found[str(name)] = float(ratio)
    return found


def _ratio(known: dict[str, float], prompt: PromptFact) -> float:
    for name in (prompt.prompt_id, str(prompt.row)):
        if name in known:
            return known[name]
    raise InputError(
        f"{WHAT}: got no line for row {prompt.row} of the data set, expected one whose id is this "
        "row, or the prompt_id. Vote on all prompts."
    )
