"""How often weighted votes are right: chosen on one half of the problems, told of the other."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

from rewards.vote_weights import get_vote_weight
from rl.answers import cluster_answers, extract_answer
from rl.answers.votes import count_votes
from rl.answers.workers import PairVerifier
from rl.types import Group, Reward, Rollout

# Weights made of text alone, which saved completions have; chosen from some 32 by a look at the
# half to choose by of split seed 0.
CANDIDATES: tuple[Mapping[str, dict[str, Any]], ...] = (
    {"length": {"power": -1.0}},
    {"length": {"power": -0.5}},
    {"length": {"power": 0.5}},
    {"length": {"power": 1.0}},
    {"repetition": {"power": 1.0}},
    {"repetition": {"power": 4.0}},
    {"repetition": {"power": 4.0, "ngram": 4}},
    {"finished": {"otherwise": 0.0}},
    {"finished": {"otherwise": 0.5}},
)
# Weights that run the programs in completions: minutes instead of seconds. Their settings are the
# defaults, but for a time that lets every program of a group begin.
PROGRAMS: tuple[Mapping[str, dict[str, Any]], ...] = (
    {"own_code": {"max_group_seconds": 600.0}},
    {"program_votes": {"max_group_seconds": 600.0}},
)


class GradedGroup(NamedTuple):
    """A problem's completions, and which of their classes are right."""

    group: Group
    right: frozenset[int]


class RuleAccuracy(NamedTuple):
    """How often a weight's vote is right: on the half it may be chosen by, and on the other."""

    rule: str
    chosen_by: int
    reported: int


def grade_groups(rows: Sequence[Mapping[str, Any]]) -> list[GradedGroup]:
    """Find the answers of each row's completions and compare their classes with the gold answer."""
    referee = PairVerifier(deadline_seconds=10.0)
    graded = []
    for number, row in enumerate(tqdm(rows, desc="grade", leave=False)):
        answers = [extract_answer(text) for text in row["completions"]]
        clusters = cluster_answers(answers)
        first = {c: answers[clusters.index(c)] or "" for c in clusters if c is not None}
        right = frozenset(c for c, a in first.items() if referee.is_same(row["gold"], a))
        rollouts = (
            Rollout(completion=text, answer=answer, cluster=cluster)
            for text, answer, cluster in zip(row["completions"], answers, clusters, strict=True)
        )
        group = Group(prompt_id=str(number), prompt="", rollouts=tuple(rollouts))
        graded.append(GradedGroup(group, right))
    referee.close()
    return graded


def split_half(num: int, seed: int) -> tuple[list[int], list[int]]:
    """Draw one half of 0 to num - 1, the smaller one, and return it and the rest, both sorted.

    Example:
        >>> [len(half) for half in split_half(5, seed=0)]
        [2, 3]
    """
    order = list(range(num))
    random.Random(seed).shuffle(order)
    return sorted(order[: num // 2]), sorted(order[num // 2 :])


def judge_weights(
    graded: Sequence[GradedGroup], candidates: Sequence[Mapping[str, dict[str, Any]]]
) -> dict[str, list[bool]]:
    """Tell of the plain and of each weighted vote on which problems it is right."""
    judged = {}
    for by in ({"equal": {}}, *candidates):
        weigh = get_vote_weight(by, "candidate")
        [(name, settings)] = by.items()
        rule = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
        groups = tqdm(graded, desc=rule, leave=False)
        judged[rule] = [is_right(weigh, one) for one in groups]
    return judged


def compare_weights(judged: Mapping[str, Sequence[bool]], seed: int) -> list[RuleAccuracy]:
    """Count on both halves of the problems how often each vote is right."""
    [num] = {len(rights) for rights in judged.values()}
    halves = split_half(num, seed)
    return [
        RuleAccuracy(rule, *(sum(rights[i] for i in half) for half in halves))
        for rule, rights in judged.items()
    ]


def is_right(weigh: Reward, graded: GradedGroup) -> bool:
    """Tell whether the weighted vote finds a right class; without a winner it does not."""
    clusters = [rollout.cluster for rollout in graded.group.rollouts]
    return count_votes(clusters, weights=weigh(graded.group)).winner in graded.right


def print_comparison(found: Sequence[RuleAccuracy], num: int) -> None:
    """Print every rule, and what the one chosen on the first half reaches on the second."""
    sizes = num // 2, num - num // 2
    print(f"{'weight of a vote':40}  half to choose by  other half")
    for rule, first, second in found:
        print(f"{rule:40}  {first:4} of {sizes[0]:<4}       {second:4} of {sizes[1]}")
    plain, best = found[0], max(found, key=lambda rule: rule.chosen_by)  # the plain vote if tied
    print(
        f"chosen: {best.rule}; on the other half {best.reported / sizes[1]:.3f} beside "
        f"{plain.reported / sizes[1]:.3f} of the plain vote"
    )
