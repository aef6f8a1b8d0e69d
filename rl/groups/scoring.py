"""From sampled text to rewards: answers, equivalence classes, and every reward on whole groups."""

import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rl.answers import cluster_answers, extract_answer
from rl.answers.views import cluster_views
from rl.answers.votes import GroupVote, count_votes
from rl.data.views import read_back
from rl.errors import InputError
from rl.groups.advantages import TrainedVotes
from rl.groups.visits import VisitKey
from rl.plugins import call_plugin
from rl.rollouts.engine import Sample
from rl.rollouts.stop_strings import completion_texts
from rl.types import Group, Reward, Rollout
from rl.watchdog import deadline


@dataclass(frozen=True, kw_only=True)
class ScoredGroup:
    """A group, the dataset row it came from, and what each reward said of its rollouts.

    Attributes:
        group: The group.
        row: Number of its prompt in the training set.
        rewards: Reward name -> one number per rollout, None = unscorable.
        reward: Weighted sum of them per rollout (`weighted_sums`); None where none scored it.
        reward_seconds: Reward name -> time it took on this group.
        vote: Which answer was taken for right, by the first reward that votes; None if none does.
        measured: Name of each reward that measures more of a group -> what it measured.
        group_weights: Name of each reward that weighs whole groups -> this group's weight.
        num_not_finite: Reward name -> its values that are no numbers, where there are any; they
            count as None in `rewards`, and such a group weight as 0.
    """

    group: Group
    row: int
    rewards: dict[str, list[float | None]]
    reward: list[float | None]
    reward_seconds: dict[str, float]
    vote: GroupVote | None = None
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    group_weights: dict[str, float] = field(default_factory=dict)
    num_not_finite: dict[str, int] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """Factor of the group's advantages."""
        return math.prod(self.group_weights.values())

    @property
    def key(self) -> VisitKey:
        """Names the visit the group belongs to."""
        return VisitKey(self.group.prompt_id, self.group.visit)


def make_group(
    key: VisitKey,
    prompt: str,
    samples: Sequence[Sample],
    trained: Container[int],
    tokenizer: PreTrainedTokenizerBase,
    policy_version: int | None = None,
    stop_strings: Sequence[str] = (),
    view: int = 0,
    images: Sequence[str] = (),
) -> Group:
    """Turn what was sampled at one visit into a group, its answers not yet looked for.

    Args:
        key: The visit.
        prompt: The rendered prompt.
        samples: All votes.
        trained: Numbers of the samples that are trained.
        tokenizer: Turns the samples into text, without special tokens.
        policy_version: Of the policy that sampled.
        stop_strings: Where a text ends, see `rl.rollouts.stop_strings`.
        view: Number of the wording.
        images: Digests of the prompt's images.
    """
    texts = completion_texts(samples, tokenizer, stop_strings)
    rollouts = tuple(
        Rollout(
            completion=text,
            num_tokens=len(sample.completion_ids),
            truncated=sample.truncated,
            trained=i in trained,
            policy_version=policy_version,
            branch=sample.branch,
            num_pruned=sample.num_pruned,
        )
        for i, (text, sample) in enumerate(zip(texts, samples, strict=True))
    )
    return Group(
        prompt_id=key.prompt_id,
        prompt=prompt,
        images=tuple(images),
        visit=key.visit,
        view=view,
        rollouts=rollouts,
    )


def classify_samples(
    samples: Sequence[Sample],
    tokenizer: PreTrainedTokenizerBase,
    answer_methods: Sequence[str],
    choices: str | None = None,
    stop_strings: Sequence[str] = (),
) -> list[int | None]:
    """Return the class of each sample's answer among the samples of one prompt."""
    texts = completion_texts(samples, tokenizer, stop_strings)
    return cluster_answers(
        [extract_answer(text, methods=answer_methods, choices=choices) for text in texts]
    )


def answer_groups(
    groups: Sequence[Group],
    answer_methods: Sequence[str],
    choices: str | None = None,
    num_views: int = 1,
    letters: Sequence[str] = (),
    teachers: Sequence[Group] = (),
) -> list[Group]:
    """Fill in each rollout's answer and the equivalence class of the answer in its group.

    Args:
        groups: Groups whose rollouts hold completions only; those of a problem's wordings in turn.
        answer_methods: Where an answer is looked for, in order.
        choices: Letters of a multiple-choice task; None for maths.
        num_views: Wordings of each problem, whose groups have their classes in common.
        letters: For each group how its letters are read back (`rl.data.views`); none: as they are.
        teachers: For each group its teacher's, with which it has its classes in common; some of
            their rollouts may have an answer already.

    Returns:
        The groups with `answer`, `cluster` and `teacher` set, in order.
    """
    read = partial(_answers, answer_methods=answer_methods, choices=choices)
    letters = letters or [""] * len(groups)
    answers = [read(group, own) for group, own in zip(groups, letters, strict=True)]
    if not teachers:
        starts = range(0, len(groups), num_views)
        classes = chain(*(cluster_views(answers[start : start + num_views]) for start in starts))
        return list(map(_with_answers, groups, answers, classes))
    taught = [read(group, own) for group, own in zip(teachers, letters, strict=True)]
    found = []
    for start in range(0, len(groups), num_views):
        part = slice(start, start + num_views)
        texts, problem = answers[part] + taught[part], [*groups[part], *teachers[part]]
        both = list(map(_with_answers, problem, texts, cluster_views(texts)))
        pairs = zip(both[:num_views], both[num_views:], strict=True)
        found += [replace(group, teacher=teacher) for group, teacher in pairs]
    return found


def _answers(
    group: Group, letters: str, answer_methods: Sequence[str], choices: str | None
) -> list[str | None]:
    return [
        r.answer
        or read_back(extract_answer(r.completion, methods=answer_methods, choices=choices), letters)
        for r in group.rollouts
    ]


def _with_answers(
    group: Group, answers: Sequence[str | None], clusters: Sequence[int | None]
) -> Group:
    known = zip(group.rollouts, answers, clusters, strict=True)
    return replace(group, rollouts=tuple(replace(r, answer=a, cluster=c) for r, a, c in known))


def score_group(
    group: Group,
    row: int,
    rewards: Mapping[str, Reward],
    weights: Mapping[str, float],
    max_seconds: float = 0.0,
    as_seen: Mapping[str, Group] | None = None,
) -> ScoredGroup:
    """Score a whole group with every reward and add the scores up; without one all get 0.0.

    `as_seen` is the group as single rewards see it, with what they asked the policy. A reward that
    takes longer than `max_seconds`, unless they are 0, ends the process (`rl.watchdog.deadline`).

    Raises:
        InputError: If a reward breaks its contract: it raises or ends the process, changes the
            group, returns another number of values than rollouts, a value that is neither a number
            nor None, or a negative group weight. The message names the reward.
    """
    everything: dict[str, Any] = dict(rewards)  # with the methods a reward may have
    seen = dict.fromkeys(rewards, group) | dict(as_seen or {})
    scores, seconds, num_not_finite = {}, {}, {}
    for name, reward in rewards.items():
        start = time.perf_counter()
        with deadline(f"reward {name!r}", max_seconds, "max_reward_seconds"):
            given = _ask(name, reward, seen[name])
        scores[name], num_not_finite[name] = _checked(name, given, len(group.rollouts))
        seconds[name] = time.perf_counter() - start
    group_weights = {}
    for name, reward in everything.items():
        if hasattr(reward, "group_weight"):
            weight = _checked_weight(name, _ask(name, reward.group_weight, seen[name]))
            num_not_finite[name] += not math.isfinite(weight)
            group_weights[name] = weight if math.isfinite(weight) else 0.0
    return ScoredGroup(
        group=group,
        row=row,
        rewards=scores,
        reward=weighted_sums(scores, weights) if scores else [0.0] * len(group.rollouts),
        reward_seconds=seconds,
        vote=next(
            (
                _checked_vote(name, _ask(name, reward.vote, seen[name]))
                for name, reward in everything.items()
                if hasattr(reward, "vote")
            ),
            None,
        ),
        measured={
            name: _checked_metrics(name, _ask(name, reward.group_metrics, seen[name]))
            for name, reward in everything.items()
            if hasattr(reward, "group_metrics")
        },
        group_weights=group_weights,
        num_not_finite={name: count for name, count in num_not_finite.items() if count},
    )


def rewards_of_rows(
    scored: Mapping[VisitKey, ScoredGroup], visits: Mapping[VisitKey, Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Put the rewards of the trained rollouts where their rows are; NaN where unscorable.

    Args:
        scored: All groups of the batch.
        visits: For each of them the rows of its trained rollouts, in order; together 0..R-1.

    Returns:
        The summed rewards, (R,), and those of each of the F rewards, (R, F).
    """
    num_rows = sum(len(positions) for positions in visits.values())
    table: list[list[float | None]] = [[] for _ in range(num_rows)]
    for key, positions in visits.items():
        scores = scored[key]
        trained = [g for g, r in enumerate(scores.group.rollouts) if r.trained]
        for position, g in zip(positions, trained, strict=True):
            table[position] = [scores.reward[g], *(values[g] for values in scores.rewards.values())]
    numbers = [[math.nan if score is None else score for score in row] for row in table]
    rewards = torch.tensor(numbers)
    return rewards[:, 0], rewards[:, 1:]


def trained_votes(groups: Sequence[Group]) -> TrainedVotes:
    """Collect how the trained rollouts of P groups, G of each, voted."""
    votes = [count_votes([rollout.cluster for rollout in g.rollouts]) for g in groups]
    trained = [[r for r in group.rollouts if r.trained] for group in groups]
    clusters = [[r.cluster for r in row] for row in trained]
    entropies = [[math.nan if r.entropy is None else r.entropy for r in row] for row in trained]
    return TrainedVotes(
        clusters=torch.tensor([[-1 if c is None else c for c in row] for row in clusters]),
        shares=torch.tensor(
            [
                [0.0 if c is None else vote.counts[c] / vote.num_votes for c in row]
                for row, vote in zip(clusters, votes, strict=True)
            ]
        ),
        majority_ratio=torch.tensor([vote.majority_ratio for vote in votes]),
        entropies=torch.tensor(entropies),
    )


def weighted_sums(
    scores: Mapping[str, Sequence[float | None]], weights: Mapping[str, float]
) -> list[float | None]:
    """Add up what F rewards said of each of a group's G rollouts.

    reward[g] = sum_f part[f][g],  part[f][g] = weight[f] * scores[f][g]

    A part that is missing counts as the least that this reward gives in the group, so that no
    rollout gains by lacking it: with equal other parts it ranks with the last. A reward that scored
    nobody in the group counts nowhere in it. A rollout that no reward scored stays unscorable.

    Differs: TRL counts a missing part as 0, which lifts it above all negative ones.

    Args:
        scores: Reward name -> one number per rollout, None = unscorable, F lists of length G.
        weights: Reward name -> factor; a negative one makes the largest score the least part.

    Returns:
        One sum per rollout, length G; None where every reward said None.

    Example:
        >>> scores = {"vote": [1.0, 0.0, 0.0], "entropy": [-0.5, -2.0, None]}
        >>> weighted_sums(scores, {"vote": 1.0, "entropy": 0.1})
        [0.95, -0.2, -0.2]
        >>> weighted_sums({"vote": [1.0, None]}, {"vote": 1.0})
        [1.0, None]
    """
    columns: list[list[float]] = []
    for name, column in scores.items():
        parts = [None if score is None else weights[name] * score for score in column]
        least = min((part for part in parts if part is not None), default=0.0)
        columns.append([least if part is None else part for part in parts])
    return [
        None if all(score is None for score in of_rollout) else math.fsum(parts)
        for of_rollout, parts in zip(
            zip(*scores.values(), strict=True), zip(*columns, strict=True), strict=True
        )
    ]


def _ask(name: str, question: Callable[[Group], Any], group: Group) -> Any:
    """Ask a reward, and see that it leaves the group as it was."""
    before = _contents(group)
    answer = call_plugin(f"reward {name!r}", question, group)
    # Equal values are mostly the same objects, so that comparing them costs next to nothing.
    if _contents(group) != before:
        raise InputError(
            f"reward {name!r}: got a changed group, expected it to be left as it is. Work on a "
            "copy: other rewards see the same group."
        )
    return answer


def _contents(group: Group) -> list[dict[str, Any]]:
    """Every field of a group, its views, their teachers and all rollouts, not copied."""
    views = (group, *group.views)
    groups = [*views, *(view.teacher for view in views if view.teacher is not None)]
    rollouts = [rollout for part in groups for rollout in part.rollouts]
    statistics = (r.token_statistics for r in rollouts)
    parts = (*groups, *rollouts, *(s for s in statistics if s is not None))
    return [dict(vars(part)) for part in parts]


def _checked(name: str, scores: Any, num_rollouts: int) -> tuple[list[float | None], int]:
    """Return the scores, None for those that are no finite numbers, and how many these are."""
    if not isinstance(scores, list | tuple) or len(scores) != num_rollouts:
        got = f"{len(scores)} values" if isinstance(scores, list | tuple) else type(scores).__name__
        can_be_list = hasattr(scores, "tolist")
        advice = "Return .tolist()" if can_be_list else "Return None for what cannot be scored"
        raise InputError(
            f"reward {name!r}: got {got}, expected a list with one value per rollout "
            f"({num_rollouts}). {advice}."
        )
    for score in scores:
        if not (score is None or isinstance(score, Real)):
            raise InputError(
                f"reward {name!r}: got {score!r}, expected a finite number or None. "
                "Return None for a rollout that cannot be scored."
            )
    numbers = [None if score is None else float(score) for score in scores]
    finite = [None if n is None or not math.isfinite(n) else n for n in numbers]
    return finite, finite.count(None) - numbers.count(None)


def _checked_vote(name: str, vote: Any) -> GroupVote:
    if not isinstance(vote, GroupVote):
        raise InputError(
            f"vote of reward {name!r}: got {str(vote)[:200]}, expected a "
            "rl.answers.votes.GroupVote. Return one, as vote_over_classes does."
        )
    return vote


def _checked_weight(name: str, weight: Any) -> float:
    if not isinstance(weight, Real) or float(weight) < 0.0:
        raise InputError(
            f"group weight of reward {name!r}: got {weight!r}, expected a finite number from 0 on. "
            "Return 0.0 for a group that is to teach nothing."
        )
    return float(weight)


def _checked_metrics(name: str, metrics: Any) -> dict[str, float]:
    is_metrics = isinstance(metrics, dict) and all(
        isinstance(key, str) and isinstance(value, Real) and math.isfinite(value)
        for key, value in metrics.items()
    )
    if not is_metrics:
        raise InputError(
            f"group metrics of reward {name!r}: got {str(metrics)[:200]}, expected "
            "{name: finite number}. Leave out what cannot be measured."
        )
    return {key: float(value) for key, value in metrics.items()}
