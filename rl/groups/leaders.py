"""The leading answer of each prompt, remembered from visit to visit: how many change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rl.answers.keys import answer_key
from rl.types import Group

# A leader with at least this share of the votes, and so many of them, counts as settled.
SETTLED, MIN_VOTES = 0.5, 3
# Optimizer steps for which a leader stays the one that later visits are compared with: where a few
# prompts come again at every step, what changes is slow.
SPAN = 20


class LeaderMemory:
    """Remembers each prompt's leading answer, its share of the votes, and which policy gave it.

    It is fed alike on every rank, and answers are compared by their keys alone, in no worker
    process: so all ranks remember the same.

    Attributes:
        leaders: Prompt id -> leading answer, its share of the votes, how many these are, and the
            policy's version at that visit; of prompts with such an answer.
    """

    def __init__(self) -> None:
        self.leaders: dict[str, tuple[str, float, int, int]] = {}

    def visit(self, groups: Sequence[Group], version: int) -> dict[str, float]:
        """Compare groups with what is remembered of their prompts, and remember them.

        A visit is remembered until the first one that is at least `SPAN` steps later.

        Args:
            groups: All groups of a generation batch; answers are extracted and classified.
            version: Optimizer steps of the policy that sampled them.

        Returns:
            Over the groups whose prompt had a leading answer at the remembered visit:
            vote/flip_frac: share that have another leading answer, or none; nothing if there is no
            such group.
            And of those whose leader had at least half of the votes then, and three of them:
            vote/num_settled, vote/settled_flips: how many these are, and how many flipped.
            vote/settled_gap: most optimizer steps since that visit.
        """
        flips, settled, gaps = [], [], []
        for group in groups:
            leader = _leader(group)
            last = self.leaders.get(group.prompt_id)
            if last is not None:
                answer, share, num_votes, visited = last
                flipped = leader is None or answer_key(leader[0]) != answer_key(answer)
                flips.append(flipped)
                if share >= SETTLED and num_votes >= MIN_VOTES:
                    settled.append(flipped)
                    gaps.append(version - visited)
            if leader is not None and (last is None or version - last[3] >= SPAN):
                self.leaders[group.prompt_id] = (*leader, version)
        found: dict[str, float] = {"vote/flip_frac": fmean(flips)} if flips else {}
        if settled:
            found |= {
                "vote/num_settled": len(settled),
                "vote/settled_flips": sum(settled),
                "vote/settled_gap": max(gaps),
            }
        return found

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as plain JSON."""
        return {"leaders": {prompt: list(leader) for prompt, leader in self.leaders.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.leaders = {prompt: tuple(leader) for prompt, leader in state["leaders"].items()}


def _leader(group: Group) -> tuple[str, float, int] | None:
    """The first answer of the largest class, of several the first, its share and its votes."""
    counts = Counter(r.cluster for r in group.rollouts if r.cluster is not None)
    if not counts:
        return None
    [(cluster, count)] = counts.most_common(1)
    answer = next(r.answer for r in group.rollouts if r.cluster == cluster)
    assert answer is not None
    return answer, count / len(group.rollouts), count
