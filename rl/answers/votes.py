"""Count the votes of one group: pure numbers and answers in, pure numbers out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal, get_args

from rl.errors import unknown_name

TieRule = Literal["first", "drop"]
TIE_RULES: tuple[TieRule, ...] = get_args(TieRule)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """The outcome of one group's vote.

    Attributes:
        winner: Cluster with most votes; None if nobody voted or a tie was dropped.
        majority_ratio: Votes of the largest cluster / num_votes, in [0, 1]; 0.0 if nobody voted.
        num_votes: All completions of the group, those without an answer among them.
        num_abstained: Completions without an answer.
        counts: Votes per cluster, in the clusters' order of first appearance.
        is_tie: Whether several clusters share the largest number of votes.
    """

    winner: int | None
    majority_ratio: float
    num_votes: int
    num_abstained: int
    counts: dict[int, int]
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


def count_votes(clusters: Sequence[int | None], tie: str = "first") -> Vote:
    """Count one vote per completion.

    majority_ratio = max_c |{i : clusters_i = c}| / len(clusters)

    Source: TTRL, arXiv 2504.16084, section 2.2; as there, completions without an answer stay in the
    denominator. Differs: no answer abstains and cannot win.

    Args:
        clusters: Class of each completion's answer, None for no answer, see `cluster_answers`.
        tie: "first": of several largest clusters, the one that appears first wins, as in TTRL's
            code; "drop": none wins.

    Returns:
        The vote. An empty group has no winner and a ratio of 0.0.

    Raises:
        InputError: If the tie rule is unknown.

    Example:
        >>> vote = count_votes([0, 1, 1, None])
        >>> vote.winner, vote.majority_ratio, vote.counts
        (1, 0.5, {0: 1, 1: 2})
    """
    if tie not in TIE_RULES:
        raise unknown_name("tie rule", tie, list(TIE_RULES))
    counts = Counter(cluster for cluster in clusters if cluster is not None)
    most = max(counts.values(), default=0)
    leaders = [cluster for cluster, count in counts.items() if count == most]
    is_tie = len(leaders) > 1
    return Vote(
        winner=None if not leaders or (is_tie and tie == "drop") else leaders[0],
        majority_ratio=most / len(clusters) if clusters else 0.0,
        num_votes=len(clusters),
        num_abstained=len(clusters) - counts.total(),
        counts=dict(counts),
        is_tie=is_tie,
    )


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


def vote_over_classes(
    answers: Sequence[str | None], clusters: Sequence[int | None], tie: str = "first"
) -> GroupVote:
    """Vote over classes of answers and take the winning class for right.

    Args:
        answers: Answer of each completion.
        clusters: Class of each answer, None for no answer.
        tie: See `count_votes`.

    Returns:
        The vote; its pseudo-label is the first answer of the winning class.

    Raises:
        InputError: If the tie rule is unknown.

    Example:
        >>> found = vote_over_classes(["3", "0.5", "1/2", None], [0, 1, 1, None])
        >>> found.pseudo_label, found.selected
        ('0.5', (False, True, True, False))
    """
    vote = count_votes(clusters, tie)
    if vote.winner is None:
        return GroupVote(vote=vote, pseudo_label=None, selected=(False,) * len(clusters))
    return GroupVote(
        vote=vote,
        pseudo_label=answers[clusters.index(vote.winner)],
        selected=tuple(cluster == vote.winner for cluster in clusters),
    )


@dataclass(frozen=True, kw_only=True)
class AnswerClass:
    """A class of answers in a vote.

    Attributes:
        cluster: Its number.
        answer: The first answer in it.
        count: Its votes.
    """

    cluster: int
    answer: str
    count: int


def rank_classes(
    answers: Sequence[str | None], clusters: Sequence[int | None], vote: Vote
) -> list[AnswerClass]:
    """List the classes of a vote, largest first, equal ones in order of first appearance.

    Args:
        answers: Answer of each completion.
        clusters: Class of each answer, None for no answer.
        vote: What `count_votes` made of the clusters.
    """
    classes = [
        AnswerClass(cluster=cluster, answer=answers[clusters.index(cluster)] or "", count=count)
        for cluster, count in vote.counts.items()
    ]
    return sorted(classes, key=lambda found: -found.count)
