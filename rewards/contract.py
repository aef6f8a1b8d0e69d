"""What every reward keeps to, whatever its idea: checks, and groups to check it on.

scripts/check_reward.py shows the findings to whoever writes a reward; the tests ask for them of
every registered one.
"""

import copy
import json
import math
import pickle
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any, TypeVar

from rewards.scripted_replies import Scripted
from rl.answers import cluster_answers
from rl.answers.views import cluster_views, link_views, renumbered
from rl.answers.votes import count_votes
from rl.errors import InputError
from rl.types import Group, Reward, Rollout, TokenStatistics

Outcome = TypeVar("Outcome")

EXAMPLE_ANSWERS: dict[str, list[str | None]] = {
    "majority": [*["2"] * 9, *["3"] * 4, *["5"] * 2, None],
    "forms": ["0.5", r"\frac12", "1/2", "7", None, "7.0"],
    "tie": ["2", "3", "3", "2"],
    "all_different": [str(i) for i in range(8)],
    "all_equal": ["2"] * 8,
    "all_silent": [None] * 8,
    "singleton": ["2"],
    "silent_singleton": [None],
    "empty": [],
    "long": ["2", "2", None],
    "hostile": [
        "9^{9^{9}}",
        "__import__('os')",
        "{" * 5000,
        "\ud83d",
        "\x00",
        r"\frac{1",
        None,
        "2",
    ],
}
# Problems in several wordings, the first of which is the group.
EXAMPLE_VIEWS: dict[str, list[list[str | None]]] = {
    "views": [["2", "2", "2", "3", "3", None], ["3", "3.0", "3", "2", "5", "5"]],
    "views_without_a_common_answer": [["2", "2"], ["3", "3"], ["2", "3"]],
    "silent_views": [["2", "2", "3"], [None, None]],
}
# The answers to a prompt, and those of a teacher.
EXAMPLE_TEACHERS: dict[str, list[list[str | None]]] = {
    "taught": [["2", "2", "2", "3", None], ["3", "3.0", "2"]],
    "silent_teacher": [["2", "2", "3"], [None, None]],
}
LONG = 1_000_000  # characters of a runaway completion
CLOSE = 1e-9  # sums in another order differ by rounding
_WORDS = ("so", "then", "2", "+", "because", "x", "=", "hence", "we", "get")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check over all groups.

    Attributes:
        check: What was checked, a key of `CHECKS`.
        problem: What was wrong and in which group; None if nothing was.
        is_warning: Whether a reward may have this problem on purpose.
    """

    check: str
    problem: str | None
    is_warning: bool


def example_groups() -> dict[str, Group]:
    """Build the groups any reward must cope with, by name.

    The completions are short made-up solutions with token statistics; ties, silence, one rollout,
    none, and text that means harm are among them. The same groups at each call.
    """
    groups = {name: _example_group(name, answers) for name, answers in EXAMPLE_ANSWERS.items()}
    long = groups["long"]
    texts = ("(" * LONG, "2 " * (LONG // 2), "so so " * (LONG // 6))
    rollouts = zip(long.rollouts, texts, strict=True)
    filled = tuple(replace(r, completion=f"{text} {r.completion}") for r, text in rollouts)
    views = {name: _example_views(name, answers) for name, answers in EXAMPLE_VIEWS.items()}
    taught = {name: _example_taught(name, answers) for name, answers in EXAMPLE_TEACHERS.items()}
    return groups | {"long": with_token_statistics(replace(long, rollouts=filled))} | views | taught


def check_reward(reward: Reward, groups: Mapping[str, Group]) -> list[Finding]:
    """Run every check on every group; a reward that raises fails the check it raises in.

    One that asks the policy is told a few words instead (`rewards.scripted_replies`).

    Args:
        reward: The reward. Its memory and settings stay as they are; a supervised one needs its
            labels first.
        groups: Name -> group, such as `example_groups()`.

    Raises:
        InputError: If the reward raises it.
    """
    if hasattr(reward, "questions"):
        reward = Scripted(reward)
    return [
        Finding(
            check=name,
            problem=next(_problems(check, reward, groups), None),
            is_warning=name in WARNINGS,
        )
        for name, check in CHECKS.items()
    ]


def _problems(
    check: Callable[[Reward, Group], str | None], reward: Reward, groups: Mapping[str, Group]
) -> Iterator[str]:
    for name, group in groups.items():
        # A reward may change what it gets.
        problem, raised = attempt(partial(check, reward, copy.deepcopy(group)))
        if problem or raised:
            yield f"group {name!r}: {problem or f'raised {raised}'}"


def attempt(work: Callable[[], Outcome]) -> tuple[Outcome | None, str | None]:
    """Run somebody's reward: the one place where whatever it raises is caught.

    Returns:
        What the work returned and None; or None and what it raised, in words.

    Raises:
        InputError: If it raises that, for a model that is missing, say: no fault of the reward.
    """
    try:
        return work(), None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a reward may raise anything, which is a finding
        return None, f"{type(error).__name__}: {str(error)[:200]}"


def _one_value_per_rollout(reward: Reward, group: Group) -> str | None:
    scores: Any = reward(group)
    if not isinstance(scores, list):
        return f"returned {type(scores).__name__}, expected a list"
    if len(scores) != len(group.rollouts):
        return f"returned {len(scores)} values for {len(group.rollouts)} rollouts"
    return None


def _finite_or_none(reward: Reward, group: Group) -> str | None:
    for g, score in enumerate(reward(group)):
        if score is None or (isinstance(score, Real) and math.isfinite(score)):
            continue
        return f"rollout {g} got {score!r}, expected a finite number, or None if unscorable"
    return None


def _deterministic(reward: Reward, group: Group) -> str | None:
    first = reward(group)
    if reward(group) != first:
        return "the second call returned other values"
    reward(_example_group("in between", ["8", "9", "9"]))
    if reward(group) != first:
        return "a call with another group changed the values"
    return None


def _input_untouched(reward: Reward, group: Group) -> str | None:
    before = copy.deepcopy(group)
    reward(group)
    return None if group == before else "the group was changed"


def _picklable(reward: Reward, group: Group) -> str | None:
    copied = pickle.loads(pickle.dumps(reward))
    if copied(pickle.loads(pickle.dumps(group))) != reward(group):
        return "a copy in another process would return other values"
    return None


def _order_plays_no_part(reward: Reward, group: Group) -> str | None:
    if _is_tied(group):
        return None  # a tie rule may go by the order
    shuffled = list(group.rollouts)
    random.Random(0).shuffle(shuffled)
    expected = _scores_by_completion(reward, group)
    for rollouts in (shuffled, group.rollouts[::-1]):
        found = _scores_by_completion(reward, reordered(group, rollouts))
        for completion, scores in expected.items():
            if not all(map(_is_close, scores, found[completion])):
                return (
                    f"in another order {completion[:40]!r} got {found[completion][:4]}, "
                    f"expected {scores[:4]}"
                )
    return None


def _trained_or_not(reward: Reward, group: Group) -> str | None:
    scores = reward(group)
    for trained in (0, 1):  # the even ones, then the odd ones
        rollouts = (replace(r, trained=g % 2 == trained) for g, r in enumerate(group.rollouts))
        if reward(replace(group, rollouts=tuple(rollouts))) != scores:
            return "whether a rollout is trained changed the values"
    return None


def _memory(reward: Reward, group: Group) -> str | None:
    """Check a reward with a memory on copies; one without passes."""
    if not hasattr(reward, "observe"):
        return None
    fresh, seen = (pickle.loads(pickle.dumps(reward)) for _ in range(2))
    before = copy.deepcopy(seen.state_dict())
    seen(group)
    if seen.state_dict() != before:
        return "scoring changed the memory, which only observe may do"
    seen.observe([group])
    state = seen.state_dict()
    if json.loads(json.dumps(state)) != state:
        return "state_dict is no plain JSON: a trip through JSON changed it"
    fresh.load_state_dict(state)
    if fresh.state_dict() != state or fresh(group) != seen(group):
        return "a reward resumed from its memory differs from the one that goes on"
    return None


def _vote(reward: Any, group: Group) -> str | None:
    """Check that a vote says what is paid; a reward without one passes."""
    if not hasattr(reward, "vote"):
        return None
    found, scores = reward.vote(group), reward(group)
    if len(found.selected) != len(scores):
        return f"selected {len(found.selected)} values for {len(scores)} rollouts"
    if found.pseudo_label is None and any(found.selected):
        return "selected a rollout without a pseudo-label"
    sides: dict[bool, list[float]] = {True: [], False: []}
    for is_selected, score in zip(found.selected, scores, strict=True):
        if score is not None:
            sides[is_selected].append(score)
    if min(sides[True], default=math.inf) < max(sides[False], default=-math.inf):
        return "a rollout that the vote takes for right is paid less than one it does not"
    return None


def _group_weight(reward: Any, group: Group) -> str | None:
    """Check the factor of a group's advantages; a reward without one passes."""
    if not hasattr(reward, "group_weight"):
        return None
    weight = reward.group_weight(group)
    if isinstance(weight, Real) and 0.0 <= float(weight) < math.inf:
        return None
    return f"group_weight returned {weight!r}, expected a finite number from 0 on"


def _group_metrics(reward: Any, group: Group) -> str | None:
    """Check what a reward measures of a group; one that measures nothing passes."""
    found = reward.group_metrics(group) if hasattr(reward, "group_metrics") else {}
    if isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(value, Real) and math.isfinite(value)
        for name, value in found.items()
    ):
        return None
    return f"group_metrics returned {str(found)[:200]}, expected {{name: finite number}}"


CHECKS: dict[str, Callable[[Reward, Group], str | None]] = {
    "one value per rollout": _one_value_per_rollout,
    "finite or None": _finite_or_none,
    "same group, same rewards": _deterministic,
    "input untouched": _input_untouched,
    "picklable": _picklable,
    "order of rollouts plays no part": _order_plays_no_part,
    "memory is plain JSON and changes in observe alone": _memory,
    "vote says what is paid": _vote,
    "group weight is a factor": _group_weight,
    "group metrics are numbers": _group_metrics,
    "trained or not plays no part": _trained_or_not,
}
WARNINGS = ("trained or not plays no part",)


def reordered(group: Group, rollouts: Sequence[Rollout]) -> Group:
    """Put a group's rollouts in another order; classes are numbered as they then appear."""
    return renumbered(replace(group, rollouts=tuple(rollouts)))


def with_token_statistics(group: Group) -> Group:
    """Give each rollout made-up token statistics, those of a policy with a few unsure tokens.

    Depends on the completion, its number of tokens and nothing else. The last tokens count as the
    answer's.
    """
    return replace(
        group,
        rollouts=tuple(replace(r, token_statistics=_token_statistics(r)) for r in group.rollouts),
    )


def _token_statistics(rollout: Rollout) -> TokenStatistics:
    # Its own generator, seeded with text, gives the same numbers in each process.
    generator = random.Random(rollout.completion.encode("utf-8", "surrogatepass"))
    # Entropies are mostly near 0 with a tail to about 3 nats, as those of language models.
    entropies = [min(3.0, generator.expovariate(2.0)) for _ in range(rollout.num_tokens)]
    num_answer_tokens = 0 if rollout.answer is None else min(3, rollout.num_tokens)
    first = rollout.num_tokens - num_answer_tokens
    return TokenStatistics(
        logps=tuple(-entropy * generator.uniform(0.2, 1.8) for entropy in entropies),
        entropies=tuple(entropies),
        self_certainties=tuple(12.0 - 3.0 * entropy for entropy in entropies),
        in_answer=tuple(t >= first for t in range(rollout.num_tokens)),
    )


def _example_views(name: str, answers: Sequence[Sequence[str | None]]) -> Group:
    clustered = zip(answers, cluster_views(answers), strict=True)
    groups = [_example_group(name, *view) for view in clustered]
    numbered = [replace(group, view=number) for number, group in enumerate(groups)]
    return link_views(numbered, len(numbered))[0]


def _example_taught(name: str, answers: Sequence[Sequence[str | None]]) -> Group:
    own, teacher = (
        _example_group(name, *pair) for pair in zip(answers, cluster_views(answers), strict=True)
    )
    return replace(own, teacher=teacher)


def _example_group(
    name: str, answers: Sequence[str | None], clusters: Sequence[int | None] | None = None
) -> Group:
    rollouts = []
    clusters = cluster_answers(answers) if clusters is None else clusters
    for g, (answer, cluster) in enumerate(zip(answers, clusters, strict=True)):
        words = [_WORDS[(g * 7 + t) % len(_WORDS)] for t in range(4 + g * 5 % 9)]
        ending = "I do not know." if answer is None else rf"\boxed{{{answer}}}"
        rollouts.append(
            Rollout(
                completion=" ".join([*words, ending]),
                answer=answer,
                cluster=cluster,
                num_tokens=len(words) + 4,
                truncated=answer is None and g % 2 == 1,
            )
        )
    group = Group(prompt_id=f"example {name}", prompt="1+1=", visit="0-0", rollouts=tuple(rollouts))
    return with_token_statistics(group)


def _scores_by_completion(reward: Reward, group: Group) -> dict[str, list[float | None]]:
    """Sort each completion's scores: copies of one completion may trade places."""
    scores: dict[str, list[float | None]] = defaultdict(list)
    for rollout, score in zip(group.rollouts, reward(group), strict=True):
        scores[rollout.completion].append(score)
    for values in scores.values():
        values.sort(key=lambda score: -math.inf if score is None else score)
    return scores


def _is_tied(group: Group) -> bool:
    """Tell whether first place is tied, between classes or, for rewards that count them, texts."""
    texts = [rollout.answer for rollout in group.rollouts]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    clusters = [rollout.cluster for rollout in group.rollouts]
    return any(
        count_votes(votes).is_tie
        for votes in (clusters, [None if text is None else numbers[text] for text in texts])
    )


def _is_close(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, rel_tol=CLOSE, abs_tol=CLOSE)
