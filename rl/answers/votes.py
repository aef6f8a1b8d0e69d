"""Count the votes of one group: pure numbers and answers in, pure numbers out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb, fsum, isclose, isfinite
from typing import Literal, get_args

from rl.errors import InputError, unknown_name

TieRule = Literal["first", "drop"]
TIE_RULES: tuple[TieRule, ...] = get_args(TieRule)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """The outcome of one group's vote.

    Attributes:
        winner: Cluster with most weight; None if no vote weighs anything or a tie was dropped.
        majority_ratio: Weight of the leading cluster / that of all completions, in [0, 1]; 0.0 if
            no vote weighs anything. Where all weigh the same it is a share of the completions.
        num_votes: All completions of the group, those without an answer among them.
        num_abstained: Completions without an answer.
        counts: Votes per cluster, in the clusters' order of first appearance.
        weights: Weight of each cluster's votes together, in the same order.
        is_tie: Whether several clusters share the largest weight.
    """

    winner: int | None
    majority_ratio: float
    num_votes: int
    num_abstained: int
    counts: dict[int, int]
    weights: dict[int, float]
    is_tie: bool


def leader_certainty(counts: Iterable[int]) -> float:
    """Say how certain it is that the leading answer is the likeliest one.

    P(q > 1/2) with q ~ Beta(a + 1, b + 1)
        = 1 - sum_{j > a} C(a + b + 1, j) / 2^(a + b + 1)

    where a and b are the votes of the two largest classes and q is the share of the leader among
    them, uniform before any vote.

    Args:
        counts: Votes of each class.

    Returns:
        A probability, 0.5 at a tie and without votes.

    Example:
        >>> leader_certainty([3]), leader_certainty([2, 2, 1]), leader_certainty([])
        (0.9375, 0.5, 0.5)
    """
    leader, runner_up = (*sorted(counts, reverse=True)[:2], 0, 0)[:2]
    num_draws = leader + runner_up + 1
    return 1 - sum(comb(num_draws, j) for j in range(leader + 1, num_draws + 1)) / 2**num_draws


def count_votes(
    clusters: Sequence[int | None],
    tie: str = "first",
    weights: Sequence[float | None] | None = None,
) -> Vote:
    """Count the votes of the completions, all alike or each with a weight of its own.

    W_c = sum of w_i over {i : clusters_i = c}
    winner = argmax_c W_c,  majority_ratio = max_c W_c / sum_i w_i

    Source: TTRL, arXiv 2504.16084, section 2.2, where each w_i is 1; as there, completions without
    an answer stay in the denominator. Differs: no answer abstains and cannot win.

    Args:
        clusters: Class of each completion's answer, None for no answer, see `cluster_answers`.
        tie: "first": of several leading clusters, the one that appears first wins, as in TTRL's
            code; "drop": none wins. Sums of weights that differ by rounding are tied.
        weights: Weight of each completion, from 0 on; None for one that cannot be weighed, which
            then weighs 0. Without weights each counts 1.

    Returns:
        The vote. An empty group, and one in which no answer weighs anything, has no winner and a
        ratio of 0.0.

    Raises:
        InputError: If the tie rule is unknown, or a weight is negative or not finite.

    Example:
        >>> vote = count_votes([0, 1, 1, None])
        >>> vote.winner, vote.majority_ratio, vote.counts
        (1, 0.5, {0: 1, 1: 2})
        >>> weighed = count_votes([0, 1, 1, None], weights=[3.0, 1.0, 1.0, 1.0])
        >>> weighed.winner, weighed.majority_ratio, weighed.weights
        (0, 0.5, {0: 3.0, 1: 2.0})
    """
    if tie not in TIE_RULES:
        raise unknown_name("tie rule", tie, list(TIE_RULES))
    counts = Counter(cluster for cluster in clusters if cluster is not None)
    by_cluster: dict[int, float] = {cluster: float(count) for cluster, count in counts.items()}
    total = float(len(clusters))
    if weights is not None:
        known = [_checked_weight(weight) for weight in weights]
        # fsum rounds once, so that the order of the completions plays no part.
        by_cluster = {
            cluster: fsum(w for c, w in zip(clusters, known, strict=True) if c == cluster)
            for cluster in counts
        }
        total = fsum(known)
    most = max(by_cluster.values(), default=0.0)
    leaders = [c for c, weight in by_cluster.items() if most and isclose(weight, most)]
    is_tie = len(leaders) > 1
    return Vote(
        winner=None if not leaders or (is_tie and tie == "drop") else leaders[0],
        majority_ratio=min(1.0, most / total) if most else 0.0,
        num_votes=len(clusters),
        num_abstained=len(clusters) - counts.total(),
        counts=dict(counts),
        weights=by_cluster,
        is_tie=is_tie,
    )


def _checked_weight(weight: float | None) -> float:
    if weight is None:
        return 0.0
    if not (isfinite(weight) and weight >= 0):
        raise InputError(
            f"weight of a vote: got {weight!r}, expected a finite number from 0 on, or None. Mend "
            "what weighs the votes."
        )
    return float(weight)


@dataclass(frozen=True, kw_only=True)
class GroupVote:
    """How a group voted, and which of its rollouts the vote takes for right.

    Attributes:
        vote: The count.
        pseudo_label: The answer that won, as the voter writes it, which may be empty; None if none
            won.
        selected: Whether each rollout is taken for right; never without a pseudo-label.
    """

    vote: Vote
    pseudo_label: str | None
    selected: tuple[bool, ...]

    @property
    def rewards(self) -> list[float | None]:
        """1.0 for each selected rollout and 0.0 for any other; all None without a pseudo-label."""
        return [None if self.pseudo_label is None else float(paid) for paid in self.selected]


def vote_over_classes(
    answers: Sequence[str | None],
    clusters: Sequence[int | None],
    tie: str = "first",
    weights: Sequence[float | None] | None = None,
    selects: Sequence[int | None] | None = None,
) -> GroupVote:
    """Vote over classes of answers and take the winning class for right.

    Args:
        answers: Answer of each completion that votes.
        clusters: Class of each answer, None for no answer.
        tie: See `count_votes`.
        weights: See `count_votes`.
        selects: Classes of the rollouts that are selected from; None: those that vote.

    Returns:
        The vote; its pseudo-label is the first answer of the winning class.

    Raises:
        InputError: As `count_votes`.

    Example:
        >>> found = vote_over_classes(["3", "0.5", "1/2", None], [0, 1, 1, None])
        >>> found.pseudo_label, found.selected
        ('0.5', (False, True, True, False))
    """
    vote = count_votes(clusters, tie, weights)
    selects = clusters if selects is None else selects
    if vote.winner is None:
        return GroupVote(vote=vote, pseudo_label=None, selected=(False,) * len(selects))
    return GroupVote(
        vote=vote,
        pseudo_label=answers[clusters.index(vote.winner)],
        selected=tuple(cluster == vote.winner for cluster in selects),
    )


@dataclass(frozen=True, kw_only=True)
class AnswerClass:
    """A class of answers in a vote.

    Attributes:
        cluster: Its number.
        answer: The first answer in it.
        count: Its votes.
        weight: Their weight; the count where all weigh the same.
    """

    cluster: int
    answer: str
    count: int
    weight: float


def rank_classes(
    answers: Sequence[str | None], clusters: Sequence[int | None], vote: Vote
) -> list[AnswerClass]:
    """List the classes of a vote, heaviest first, equal ones in order of first appearance.

    Args:
        answers: Answer of each completion.
        clusters: Class of each answer, None for no answer.
        vote: What `count_votes` made of the clusters.
    """
    classes = [
        AnswerClass(
            cluster=cluster,
            answer=answers[clusters.index(cluster)] or "",
            count=count,
            weight=vote.weights[cluster],
        )
        for cluster, count in vote.counts.items()
    ]
    return sorted(classes, key=lambda found: -found.weight)
