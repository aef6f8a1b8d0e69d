"""Which questions and judgments are worth training on.

Source: SPELL, arXiv 2509.23863, section 3.3 and algorithm 1. Reference code:
    Tongyi-Zhiwen/Qwen-Doc, folder SPELL.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

NegativeSampling = Literal["uniform", "by_type"]


def min_correct_guesses(num_samples: int, chance: float, max_lucky_prob: float = 0.2) -> int:
    """How many answers without documents have to be right for a question to count as not grounded.

    The smallest c with P(Binomial(num_samples, chance) >= c) <= max_lucky_prob; num_samples if
    there is none, so that one sample decides alone, as in the authors' code.

    Source: the code takes one sample, which punishes a quarter of all good questions with four
    options; this is the correction for guessing.

    Args:
        num_samples: Answers without documents, at least 1.
        chance: Probability that a guess is right, in [0, 1).
        max_lucky_prob: How often luck alone may reject a question.

    Returns:
        c, in 1..num_samples.

    Example:
        >>> [min_correct_guesses(3, chance) for chance in (0.0, 0.25)]
        [1, 2]
    """
    tail = 1.0
    for correct in range(num_samples):
        tail -= (
            math.comb(num_samples, correct)
            * chance**correct
            * (1 - chance) ** (num_samples - correct)
        )
        if tail <= max_lucky_prob:
            return correct + 1
    return num_samples


def has_variance(rewards: Sequence[float]) -> bool:
    """Tell whether a group's rewards differ, so that it says which answers are better."""
    return len(set(rewards)) > 1


def is_consistent(
    verdicts: Sequence[int | None],
    verdict: int | None,
    rule: float,
    *,
    min_agreement: float = 0.51,
    max_agreement: float = 0.99,
    with_rule: bool = True,
) -> bool:
    """Tell whether the judgments of one answer are fit to train the verifier on.

    They have to disagree somewhat: the majority's share of the valid ones lies in [min_agreement,
    max_agreement]; and their vote has to be what the rule check says ("update consistency"), which
    keeps the verifier from drifting to YES. Paraphrases, where the vote is right and the rule is
    not, are left out by this too.

    Args:
        verdicts: 1, 0 or None (malformed); without a valid one they are never consistent.
        verdict: Their vote; None is never consistent.
        rule: What the rule check says, 0.0 or 1.0.
        min_agreement: Smallest share.
        max_agreement: Largest share.
        with_rule: Whether the rule check matters.

    Example:
        >>> is_consistent([1, 1, 0, None], 1, 1.0), is_consistent([1, 1, 1, None], 1, 1.0)
        (True, False)
    """
    valid = [given for given in verdicts if given is not None]
    if not valid or verdict is None or (with_rule and verdict != rule):
        return False
    share = valid.count(verdict) / len(valid)
    return min_agreement <= share <= max_agreement


@dataclass(frozen=True, kw_only=True)
class Negative:
    """A question that may be trained as a bad one.

    Attributes:
        index: Its number among all questions of the round.
        task: Its task.
        kind: Why it is bad: "bad_format", "not_grounded" or "zero_variance".
    """

    index: int
    task: str
    kind: str


def draw_negatives(
    num_positives: Mapping[str, int],
    candidates: Sequence[Negative],
    rng: Random,
    how: str = "uniform",
) -> list[int]:
    """Draw as many bad questions as there are good ones, task by task.

    What a task lacks is asked of the next one, and in the end of the first ones again.

    Args:
        num_positives: Task -> number of good questions, in the order of the tasks.
        candidates: All bad questions.
        rng: Draws.
        how: "uniform" draws among all of a task; "by_type" takes one of each kind in turn, so that
            format errors, early in training most of all, do not crowd out the others.

    Returns:
        Their `index`, in the order of the candidates.
    """
    pools = {
        task: _in_drawing_order([c for c in candidates if c.task == task], rng, how)
        for task in num_positives
    }
    chosen: list[int] = []
    wanted = 0
    for task, own in [*num_positives.items(), *((task, 0) for task in num_positives)]:
        wanted += own
        taken, pools[task] = pools[task][:wanted], pools[task][wanted:]
        wanted -= len(taken)
        chosen += [negative.index for negative in taken]
    return sorted(chosen)


def _in_drawing_order(pool: list[Negative], rng: Random, how: str) -> list[Negative]:
    shuffled = rng.sample(pool, len(pool))
    if how == "uniform":
        return shuffled
    kinds = sorted({negative.kind for negative in pool})
    by_kind = {kind: [n for n in shuffled if n.kind == kind] for kind in kinds}
    turns = [(turn, kinds.index(kind), n) for kind in kinds for turn, n in enumerate(by_kind[kind])]
    return [negative for _, _, negative in sorted(turns, key=lambda entry: entry[:2])]
