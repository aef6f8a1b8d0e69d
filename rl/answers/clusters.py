r"""Answers of a prompt that mean the same: their equivalence classes.

Two strings are the same answer if their canonical keys agree (`rl.answers.keys`), if one stands for
the other in this group, as a percentage may for a number (`rl.answers.readings`), or if Math-Verify
says so in either direction (`rl.answers.workers`). Keys decide almost every pair; Math-Verify sees
only pairs that no rule covers, in a process that is killed at a deadline. Within a group the
relation is closed: if a matches b and b matches c, all three are one class.

No answer (None) is in no class.

A task may name another comparer (`use_comparer`), which then decides in place of all of this: one
of its own, or one that goes by what words mean (`rl.answers.comparers`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, combinations

from rl.answers.comparers import ComparerSetting, classes_by, comparer_name
from rl.answers.keys import AnswerKey, answer_key, approximate_value
from rl.answers.readings import other_reading
from rl.answers.text import clean_answer
from rl.answers.workers import PairVerifier, VerificationCounters, is_verifiable
from rl.types import Group

# A group of all-different unusual answers must not hold up a step; common answers go first.
_MAX_PAIRS_PER_GROUP = 32
_MAX_FAILURES_PER_GROUP = 2
_MAX_CHARACTERS = 2_000
_CLOSE = 1e-6

_verifier = PairVerifier()
_comparers: list[str] = []  # the one in use, if any


def same_answer(a: str | None, b: str | None) -> bool:
    r"""Tell whether two answers mean the same; symmetric.

    `50\%` is the same as `0.5` and as `50`, depending on what the prompt asked for, and so are the
    other answers of `rl.answers.readings`; apart from them and from answers only Math-Verify can
    compare, the relation is transitive.

    Args:
        a: An answer as extracted, LaTeX or plain, or None.
        b: The same.

    Returns:
        True if both are in one class. False if either is None.

    Example:
        >>> same_answer("0.5", r"\frac12"), same_answer("(1,2)", "(2,1)"), same_answer(None, None)
        (True, False, False)
    """
    return a is not None and b is not None and len(set(cluster_answers([a, b]))) == 1


def cluster_answers(answers: Sequence[str | None]) -> list[int | None]:
    r"""Number the classes of equal answers within one group.

    Args:
        answers: One answer per rollout, None where there is none.

    Returns:
        Class of each answer, counted from 0 in order of first appearance; None for no answer.

    Example:
        >>> cluster_answers(["7", r"\frac12", None, "0.5", "7.0"])
        [0, 1, None, 1, 0]
    """
    return classes_by(_comparers[0], answers, _by_rule) if _comparers else _by_rule(answers)


def _by_rule(answers: Sequence[str | None]) -> list[int | None]:
    """Classes of equal answers by our rules and Math-Verify."""
    keys = [None if answer is None else answer_key(answer) for answer in answers]
    votes = Counter(key for key in keys if key is not None)
    first_answers: dict[AnswerKey, str] = {}
    for key, answer in zip(keys, answers, strict=True):
        if key is not None and answer is not None:
            first_answers.setdefault(key, answer)
    classes = _Classes(votes)
    _merge_readings(classes, votes, list(zip(keys, answers, strict=True)))
    _merge_verified(classes, votes, first_answers)
    numbers: dict[AnswerKey, int] = {}
    return [
        None if key is None else numbers.setdefault(classes.find(key), len(numbers)) for key in keys
    ]


def group_clusters(group: Group) -> list[int | None]:
    """Return the class of each rollout's answer: those the group holds, or else computed.

    A group that a user builds by hand may hold answers without clusters.
    """
    clusters = [rollout.cluster for rollout in group.rollouts]
    if any(cluster is not None for cluster in clusters):
        return clusters
    return cluster_answers([rollout.answer for rollout in group.rollouts])


def use_comparer(setting: ComparerSetting | None) -> None:
    """Let another comparer decide in this process which answers are the same.

    There is one for votes, rewards, audits and grading alike, so that all mean the same by "same".

    Args:
        setting: As `rl.answers.comparers` has it; None goes back to our rules.

    Raises:
        InputError: If there is nothing of that name, or its settings are wrong.
    """
    _comparers[:] = [] if setting is None else [comparer_name(setting)]


def comparer_in_use() -> str | None:
    """Return the name of the comparer that decides in this process; None for our rules."""
    return next(iter(_comparers), None)


def start_verifier() -> None:
    """Start this process's worker now (seconds) instead of at the first pair that needs it."""
    _verifier.start()


def close_verifier() -> None:
    """End this process's worker; the interpreter's own exit does it where it runs exit handlers."""
    _verifier.close()


def forget_answers() -> None:
    """Empty this process's caches of keys and verdicts, to measure what cold ones cost."""
    answer_key.cache_clear()
    _verifier.clear()


def verification_counters() -> VerificationCounters:
    """Counts of this process's Math-Verify comparisons; the object is updated in place."""
    return _verifier.counters


class _Classes:
    """Union-find over the distinct keys of a group."""

    def __init__(self, keys: Iterable[AnswerKey]) -> None:
        self.parents = {key: key for key in keys}

    def find(self, key: AnswerKey) -> AnswerKey:
        while self.parents[key] != key:
            key = self.parents[key]
        return key

    def join(self, left: AnswerKey, right: AnswerKey) -> None:
        self.parents[self.find(right)] = self.find(left)


def _merge_readings(
    classes: _Classes, votes: Counter[AnswerKey], answers: list[tuple[AnswerKey | None, str | None]]
) -> None:
    """Join each key with what it stands for in this group.

    Two keys that stand for the same one, as `x=1, y=2` and `x=2, y=1` for `1, 2`, do not mean the
    same: the more literal reading keeps it, then the one with more votes.
    """
    claims: dict[AnswerKey, list[tuple[int, int, AnswerKey]]] = {}
    for key in votes:
        if key.kind in ("number", "value", "word", "raw"):
            continue
        spellings = [answer for other, answer in answers if other == key and answer is not None]
        if found := other_reading(key, spellings, votes):
            claims.setdefault(found[1], []).append((found[0], -votes[key], key))
    for reading, claimants in claims.items():
        classes.join(reading, min(claimants, key=lambda claim: claim[:2])[2])


def _merge_verified(
    classes: _Classes, votes: Counter[AnswerKey], first_answers: dict[AnswerKey, str]
) -> None:
    """Ask Math-Verify about the pairs that rules leave open, those with most votes first."""
    if all(key.kind in ("number", "word") for key in votes):
        return
    pairs = [pair for pair in combinations(votes, 2) if _may_be_same(*pair)]
    pairs.sort(key=lambda pair: -votes[pair[0]] - votes[pair[1]])
    counters = _verifier.counters
    num_pairs, num_failed = 0, counters.num_failed
    texts = {key: _verifiable_text(first_answers[key]) for key in set(chain.from_iterable(pairs))}
    for left, right in pairs:
        sides = [text for text in (texts[left], texts[right]) if text is not None]
        if len(sides) < 2 or classes.find(left) == classes.find(right):
            continue
        if "equation" in (left.kind, right.kind) and not all("=" in side for side in sides):
            continue
        num_pairs += 1
        is_over = counters.num_failed - num_failed >= _MAX_FAILURES_PER_GROUP
        if is_over or num_pairs > _MAX_PAIRS_PER_GROUP:
            counters.num_skipped += 1
        elif _verifier.is_same(*sides):
            classes.join(left, right)


def _verifiable_text(answer: str) -> str | None:
    """Clean an answer for Math-Verify; None if it may not be sent."""
    if len(answer) > _MAX_CHARACTERS:
        return None
    text = clean_answer(answer)
    return text if is_verifiable(text) else None


def _may_be_same(left: AnswerKey, right: AnswerKey) -> bool:
    """Tell whether the keys leave open that two different keys mean the same."""
    kinds = {left.kind, right.kind}
    if "word" in kinds:
        return False
    if "raw" in kinds:
        return True
    if kinds == {"value", "number"}:  # an irrational value and a decimal of six or more places
        sizes = [size for size in map(approximate_value, (left, right)) if size is not None]
        return len(sizes) == 2 and abs(sizes[0] - sizes[1]) < _CLOSE
    return kinds == {"equation", "value"}  # y=2x+3 and 2x-y+3=0
