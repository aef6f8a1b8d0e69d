"""The leading answer of each prompt, remembered from visit to visit: how many change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rl.answers.keys import answer_key
from rl.types import Group

# A leader with at least this share of the votes counts as settled.
SETTLED = 0.5


class LeaderMemory:
    """Remembers each prompt's leading answer and its share of the votes.

    It is fed alike on every rank, and answers are compared by their keys alone, in no worker
    process: so all ranks remember the same.

    Attributes:
        leaders: Prompt id -> leading answer and its share at the last visit, of prompts with one.
    """

    def __init__(self) -> None:
        self.leaders: dict[str, tuple[str, float]] = {}

    def visit(self, groups: Sequence[Group]) -> dict[str, float]:
        """Compare groups with the last visits of their prompts, and remember them.

        Args:
            groups: All groups of a generation batch; answers are extracted and classified.

        Returns:
            Over the groups whose prompt had a leading answer at its last visit; nothing if there is
            none:
            vote/flip_frac: share whose leading answer is another one, or that have none.
            vote/leader_kept: share of the votes that the last visit's leader gets, mean.
            vote/leader_share: share it had at the last visit, mean.
            vote/settled_flip_frac: as vote/flip_frac, of those whose leader had at least half of
            the votes; left out without such a group.
        """
        flips, kept, shares, settled = [], [], [], []
        for group in groups:
            votes = _votes(group)
            last = self.leaders.get(group.prompt_id)
            if last is not None:
                answer, share = last
                flipped = not votes or answer_key(next(iter(votes))) != answer_key(answer)
                flips.append(flipped)
                shares.append(share)
                kept.append(
                    sum(n for a, n in votes.items() if answer_key(a) == answer_key(answer))
                    / len(group.rollouts)
                )
                if share >= SETTLED:
                    settled.append(flipped)
            if votes:
                answer, count = next(iter(votes.items()))
                self.leaders[group.prompt_id] = (answer, count / len(group.rollouts))
        found = {
            "vote/flip_frac": flips,
            "vote/settled_flip_frac": settled,
            "vote/leader_kept": kept,
            "vote/leader_share": shares,
        }
        return {name: fmean(values) for name, values in found.items() if values}

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as plain JSON."""
        return {"leaders": {prompt: list(leader) for prompt, leader in self.leaders.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.leaders = {prompt: (a, share) for prompt, (a, share) in state["leaders"].items()}


def _votes(group: Group) -> dict[str, int]:
    """First answer of each class -> votes, the largest class first, of several the first."""
    answers = {
        rollout.cluster: rollout.answer
        for rollout in reversed(group.rollouts)
        if rollout.cluster is not None and rollout.answer is not None
    }
    counts = Counter(rollout.cluster for rollout in group.rollouts if rollout.cluster in answers)
    return {answers[cluster]: count for cluster, count in counts.most_common()}
