"""SCOPE: votes weighed by step-wise confidence, in subgroups that each have a label of their own.

Source: SCOPE, arXiv 2512.15146 (ACL 2026). Reference code: szu-tera/SCOPE at e1891aa,
    verl/trainer/ppo/ray_trainer.py ("search_params"), grouputils.py and myutils.py; its scripts set
    lambda 0.7, 64 rollouts and 32 votes for each label.
Like the code, a subgroup's label is voted by a random half of the whole group, drawn without
    replacement, after the size was chosen by other draws; exploration counts different labels. (The
    paper divides that count by the number of subgroups, which is always 1 for a single one.)
Differs: the size is chosen for each prompt, as the paper writes; the code chooses one for all
    prompts of a batch. Classes of equal answers vote; a rollout without an answer abstains: in the
    code its confidence goes to the answer after it, as answers that are missing are left out
    before answers and confidences are put side by side. What confidence is, and how the code's
    differs from the paper's: `rewards.vote_weights.StepConfidence`. Draws come from a hash of the
    group, not of the order of its rollouts.
Fails when: the majority is confidently wrong; and a small subgroup size pays answers that hardly
    anybody gave, as its labels are many.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any, ClassVar

from rewards.vote_weights import RemembersVotes, get_vote_weight
from rl.answers import group_clusters
from rl.answers.votes import GroupVote, count_votes, vote_over_classes
from rl.settings import PositiveShare, Share, checked
from rl.types import Group, Reward


@checked
@dataclass(frozen=True, kw_only=True)
class Scope(RemembersVotes):
    """Pay 1.0 for the label of a rollout's subgroup, which other rollouts voted for too.

    For a size m the G rollouts form G/m subgroups. The label of each is the weighted vote of
    round(votes_share G) rollouts, drawn from all. With q(m) the share of rollouts that give their
    subgroup's label and e(m) the number of different labels, both scaled to [0, 1] over the sizes
    that no other size beats in both:

    m*  = argmin_m sqrt(lambda (1 - q)^2 + (1 - lambda) (1 - e)^2),  the smallest of several
    r_i = 1 if cluster_i is the label of i's subgroup of size m*, else 0

    Sizes are the powers of two that divide G. Who is in which subgroup is drawn, too.

    Attributes:
        lam: lambda, in [0, 1]: 1 looks at quality alone, 0 at exploration.
        votes_share: Share of the group that votes for each label, in (0, 1].
        by: What weighs a vote, as in `rewards.weighted_vote`; the paper's is "step_confidence".
        seed: Changes all draws.
    """

    needs_token_statistics: ClassVar[bool] = True
    lam: Share = 0.7
    votes_share: PositiveShare = 0.5
    by: str | dict[str, dict[str, Any] | None] = "step_confidence"
    seed: int = 0
    _weigh: Reward = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_weigh", get_vote_weight(self.by, "rewards.scope.by"))

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster`, `answer` and what the weight reads. If
                no rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in {0.0, 1.0}; None where a subgroup has no label: none of its
            voters answered, or none of their votes weighs anything.
        """
        clusters = group_clusters(group)
        return [
            None if label is None else float(cluster == label)
            for cluster, label in zip(clusters, self._labels(group, clusters), strict=True)
        ]

    def vote(self, group: Group) -> GroupVote:
        """Return the weighted vote of the whole group, and the rollouts that are paid."""
        clusters, answers = group_clusters(group), [r.answer for r in group.rollouts]
        found = vote_over_classes(answers, clusters, weights=self._weigh(group))
        labels = self._labels(group, clusters)
        has_label = found.pseudo_label is not None
        selected = [
            has_label and cluster is not None and cluster == label
            for cluster, label in zip(clusters, labels, strict=True)
        ]
        return replace(found, selected=tuple(selected))

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return the weight of each vote, and the class that is its subgroup's label."""
        labels = self._labels(group, group_clusters(group))
        weights = zip(self._weigh(group), labels, strict=True)
        return [{"vote_weight": weight, "subgroup_label": label} for weight, label in weights]

    def _labels(self, group: Group, clusters: list[int | None]) -> list[int | None]:
        """Return the label of each rollout's subgroup."""
        num = len(clusters)
        if num == 0:
            return []
        # In an order that does not depend on that of the rollouts, then drawn.
        order = sorted(range(num), key=lambda i: group.rollouts[i].completion)
        draws = random.Random(_seed(self.seed, group))
        draws.shuffle(order)
        weights = self._weigh(group)
        pool = [(clusters[i], weights[i]) for i in order]
        num_voters = max(1, round(self.votes_share * num))
        sizes = [2**k for k in range(num.bit_length()) if num % 2**k == 0]
        tried = {size: subgroup_labels(pool, size, num_voters, draws) for size in sizes}
        size = choose_size(
            {size: measure(pool, labels) for size, labels in tried.items()}, self.lam
        )
        labels = subgroup_labels(pool, size, num_voters, draws)
        by_rollout = dict(zip(order, labels, strict=True))
        return [by_rollout[i] for i in range(num)]


def subgroup_labels(
    pool: Sequence[tuple[int | None, float | None]],
    size: int,
    num_voters: int,
    draws: random.Random,
) -> list[int | None]:
    """Vote a label for each subgroup of consecutive members.

    Args:
        pool: Class and weight of each rollout.
        size: Members of a subgroup; divides the pool.
        num_voters: Rollouts that vote for a label, drawn from the pool without replacement.
        draws: Draws them.

    Returns:
        The label of each rollout's subgroup; None where none of the votes weighs anything.
    """
    labels: list[int | None] = []
    for _ in range(len(pool) // size):
        voters = draws.sample(pool, num_voters)
        vote = count_votes([c for c, _ in voters], weights=[w for _, w in voters])
        labels += [vote.winner] * size
    return labels


def measure(
    pool: Sequence[tuple[int | None, float | None]], labels: Sequence[int | None]
) -> tuple[float, float]:
    """Return quality, the share of rollouts that give their label, and the number of labels.

    Example:
        >>> measure([(0, 1.0), (1, 1.0), (0, 1.0), (None, 1.0)], [0, 0, 1, 1])
        (0.25, 2)
    """
    agree = [c is not None and c == label for (c, _), label in zip(pool, labels, strict=True)]
    return sum(agree) / len(agree), len(set(labels))


def choose_size(measured: Mapping[int, tuple[float, float]], lam: float) -> int:
    """Choose a subgroup size that no other beats in both quality and exploration.

    Args:
        measured: Size -> quality and exploration, at least one.
        lam: Weight of quality against exploration, in [0, 1].

    Returns:
        Of the sizes that are not beaten the one nearest to the best of both, each scaled to [0, 1]
        over these sizes; the first of several. A quantity that all share counts as 0, as in the
        code, which makes no difference between them.

    Example:
        >>> choose_size({1: (0.5, 3), 2: (0.6, 2), 4: (0.6, 1)}, lam=0.7)  # 4 is beaten by 2
        2
    """

    def is_beaten(own: tuple[float, float]) -> bool:
        return any(q >= own[0] and e >= own[1] and (q, e) != own for q, e in measured.values())

    front = {size: own for size, own in measured.items() if not is_beaten(own)}
    lows = [min(values) for values in zip(*front.values(), strict=True)]
    highs = [max(values) for values in zip(*front.values(), strict=True)]

    def distance(size: int) -> float:
        quality, exploration = (
            (value - low) / (high - low) if high > low else 0.0
            for value, low, high in zip(front[size], lows, highs, strict=True)
        )
        return sqrt(lam * (1 - quality) ** 2 + (1 - lam) * (1 - exploration) ** 2)

    return min(front, key=distance)


def _seed(seed: int, group: Group) -> int:
    text = "\x1f".join((str(seed), group.prompt_id, group.visit))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
