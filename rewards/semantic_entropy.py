"""Semantic entropy as a reward: pays each answer the share of rollouts that agree with it.

Source: EMPO, arXiv 2504.05812v3, section 3, whose group filter is `entropy_band`.
    Reference code: QingyangZhang/EMPO, reward of maths tasks.
Differs: answers are classed by our equality, which is symmetric. The filter of the code, which pays
    nothing where all answers differ, is always on; the paper's thresholds are off by default.
Fails when: the most common answer is wrong, as with a majority vote; it also pays the others, each
    by its share, so wrong minorities are taught too.
"""

import math
from dataclasses import dataclass

from rl.answers import group_clusters
from rl.answers.votes import count_votes
from rl.errors import InputError
from rl.settings import Share, checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class SemanticEntropy:
    """Pay the share of the group that gives the same answer.

    r_i = |{j : cluster_j = cluster_i}| / G,  0 for no answer
    H   = -sum_c p_c log p_c,  p_c = |c| / G, a rollout without an answer being a class of its own

    If H = log G, where no two rollouts agree, all rewards are 0.0. A group of one agrees with
    itself: an answer gets 1.0.

    Attributes:
        entropy_band: [low, high] with 0 <= low <= high <= 1: a group whose H / log G lies outside
            is not scored. None: every group is.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = [Rollout(completion="", answer=answer) for answer in ("2", "2.0", "3", None)]
        >>> SemanticEntropy()(Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts)))
        [0.5, 0.5, 0.25, 0.0]
    """

    entropy_band: tuple[Share, Share] | None = None

    def __post_init__(self) -> None:
        if self.entropy_band is not None and self.entropy_band[0] > self.entropy_band[1]:
            raise InputError(
                f"semantic_entropy.entropy_band: got {self.entropy_band}, expected [low, high] "
                "with low <= high. Change it, or leave it out to score every group."
            )

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster` and `answer`. If no rollout has a cluster
                but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in [0, 1]. All 0.0 if nobody answered or all answers differ; all
            None if the group is outside the band.
        """
        clusters = group_clusters(group)
        vote = count_votes(clusters)
        size = len(clusters)
        if not self._is_in_band([*vote.counts.values(), *[1] * vote.num_abstained]):
            return [None] * size
        if size > 1 and max(vote.counts.values(), default=0) <= 1:
            return [0.0] * size
        return [0.0 if c is None else vote.counts[c] / size for c in clusters]

    def _is_in_band(self, counts: list[int]) -> bool:
        if self.entropy_band is None:
            return True
        low, high = self.entropy_band
        # The borders stand for group shapes, such as "all differ" at 1; rounding must not move one.
        return low - 1e-9 <= _normalized_entropy(counts) <= high + 1e-9


def _normalized_entropy(counts: list[int]) -> float:
    """Return H / log G of class sizes, in [0, 1]; 0.0 for a group of one or none."""
    size = sum(counts)
    if size < 2:
        return 0.0
    return sum(n / size * math.log(size / n) for n in counts) / math.log(size)
