r"""Sums that a teacher mostly guesses and sometimes works out, in one of two ways: pure Python.

A problem is a sum of whole numbers, asked in one of four wordings (`3+5-2=`, `3 + 5 - 2 = `,
`add 3,5,-2:`, `3 plus 5 minus 2 is `). The teacher answers in one of three ways:

    guess             \boxed{8}
    left to right     3+5=8;8-2=6\boxed{6}
    positives first   +:3+5=8;8-2=6\boxed{6}

How often it works at all depends on the wording alone (`WORK_PROB`), and then either way is as
likely. So the greedy answer is a guess. A guess is right one time in ten and forgets the last term
one time in two, so that guesses share a wrong answer. Working is right but for slips (`SLIP_PROB` a
step), and ends without a box one time in twenty.

The first token decides the way: the one fork of a completion beside its slips. A tokenizer that
writes numbers up to 99 and `\boxed{` as one token each makes every choice a single token.

Some problems can be worked out in one way only:

* `dips`: from left to right the total falls below zero, which the teacher cannot write (it drops
  the sign); positives first stays above.
* `peaks`: positives first rises over `MAX_TOTAL`, where every second result is wrong; from left to
  right the total stays below.
* `plain`: both ways stay within 0..`MAX_TOTAL`.

What is known of a published claim can be counted here: whether a policy passes the base model's
greedy answer and its majority, whether both ways survive, which tokens are forks, and problems
whose majority is wrong until others teach the policy to work.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from rl.testbed.parts import BOXED, Part, draw

Kind = Literal["plain", "dips", "peaks"]
Wording = Literal["compact", "spaced", "listed", "spoken"]
Strategy = Literal["guess", "left to right", "positives first"]

# How often the teacher works, by how it is asked.
WORK_PROB: Mapping[Wording, float] = {
    "compact": 0.5,
    "spaced": 0.25,
    "listed": 0.08,
    "spoken": 0.15,
}
MAX_TOTAL = 20
SLIP_PROB = 0.04
SLIP_OFFSETS = (-2, -1, 1, 2)
PEAK_ERROR_PROB = 0.6
PEAK_ERROR_OFFSETS = (-10, -2, -1, 1, 2)
NO_BOX_PROB = 0.05
RIGHT_GUESS_PROB = 0.1
FORGETFUL_GUESS_PROB = 0.5
GUESS_OFFSETS = (-3, -2, -1, 1, 2, 3)


def write_prompt(terms: Sequence[int], wording: Wording) -> str:
    """Put a sum into words.

    Example:
        >>> write_prompt([3, 5, -2], "compact"), write_prompt([3, 5, -2], "spoken")
        ('3+5-2=', '3 plus 5 minus 2 is ')
    """
    first, *rest = terms
    if wording == "listed":
        return "add " + ",".join(map(str, terms)) + ":"
    if wording == "compact":
        return str(first) + "".join(f"{term:+d}" for term in rest) + "="
    if wording == "spaced":
        return str(first) + "".join(f" {'+-'[x < 0]} {abs(x)}" for x in rest) + " = "
    words = "".join(f" {'minus' if x < 0 else 'plus'} {abs(x)}" for x in rest)
    return f"{first}{words} is "


def kind_of(terms: Sequence[int]) -> Kind | None:
    """Say which ways solve a sum; None for one that neither solves, or that is out of range.

    Example:
        >>> kind_of([3, 5, -2]), kind_of([3, -8, 9]), kind_of([9, 8, -6, 7])
        ('plain', 'dips', 'peaks')
    """
    totals = list(accumulate(terms))
    if not 0 <= totals[-1] <= MAX_TOTAL or max(totals) > MAX_TOTAL:
        return None
    dips = min(totals) < 0
    peaks = sum(term for term in terms if term > 0) > MAX_TOTAL
    if dips and peaks:
        return None
    return "dips" if dips else "peaks" if peaks else "plain"


def draw_terms(rng: random.Random, num_terms: int, kind: Kind) -> list[int]:
    """Draw a sum of a kind with at least one negative term; its first term is positive.

    Args:
        rng: Where the numbers come from.
        num_terms: At least 4 for sums that peak, 3 for sums that dip, 2 for plain ones.
        kind: Which ways solve it.
    """
    while True:
        terms = [rng.randint(1, 9)]
        terms += [rng.choice((1, 1, -1)) * rng.randint(1, 9) for _ in range(num_terms - 1)]
        if min(terms) < 0 and kind_of(terms) == kind:
            return terms


def strategy_of(completion: str) -> Strategy:
    r"""Say how a completion goes about it: its first token tells.

    Example:
        >>> [strategy_of(text) for text in (r"\boxed{4}", "3+5=8", "+:3+5=8")]
        ['guess', 'left to right', 'positives first']
    """
    if completion.startswith("+"):
        return "positives first"
    return "left to right" if completion[:1].isdigit() else "guess"


def step_distribution(total: int, term: int) -> dict[int, float]:
    """Return what the teacher may write as `total + term`, and with which probability.

    Right but for a slip within 0..`MAX_TOTAL`. Above, wrong with probability `PEAK_ERROR_PROB`.
    Below zero the sign is dropped, or 0 is written one time in ten.

    Example:
        >>> step_distribution(8, -2)[6], step_distribution(3, -8), step_distribution(17, 7)[24]
        (0.96, {5: 0.9, 0: 0.1}, 0.4)
    """
    right = total + term
    if right < 0:
        return {-right: 0.9, 0: 0.1}
    if right > MAX_TOTAL:
        return _spread(right, PEAK_ERROR_PROB, PEAK_ERROR_OFFSETS)
    return _spread(right, SLIP_PROB, SLIP_OFFSETS)


def guess_distribution(terms: Sequence[int]) -> dict[int, float]:
    """Return what the teacher may guess, and with which probability.

    Example:
        >>> guess_distribution([3, 5, -2])[8]  # the last term forgotten, or two too many
        0.5666666666666667
    """
    answer = sum(terms)
    others = 1 - RIGHT_GUESS_PROB - FORGETFUL_GUESS_PROB
    guesses = {answer: RIGHT_GUESS_PROB}
    _add(guesses, abs(answer - terms[-1]), FORGETFUL_GUESS_PROB)
    for offset in GUESS_OFFSETS:
        _add(guesses, max(0, answer + offset), others / len(GUESS_OFFSETS))
    return guesses


def write_solution(terms: Sequence[int], wording: Wording, rng: random.Random) -> list[Part]:
    r"""Answer as the teacher does; an error is carried into the next step.

    Returns:
        The completion, part by part, each with what might have stood in its place.

    Example:
        >>> parts = write_solution([3, 5, -2], "compact", random.Random(5))
        >>> "".join(part.text for part in parts)
        '3+5=8;8-2=6\\boxed{6}'
    """
    work = WORK_PROB[wording]
    ways = {BOXED: 1 - work, str(terms[0]): work / 2, "+": work / 2}
    first = draw(ways, rng)
    if first.text == BOXED:
        return [first, draw(guess_distribution(terms), rng), Part("}")]
    if first.text == "+":
        terms = sorted(terms, key=lambda term: term < 0)
        parts = [first, Part(f":{terms[0]}")]
    else:
        parts = [first]
    total = terms[0]
    for i, term in enumerate(terms[1:]):
        result = draw(step_distribution(total, term), rng)
        parts += [Part(f"{f';{total}' if i else ''}{term:+d}="), result]
        total = int(result.text)
    box = draw({BOXED: 1 - NO_BOX_PROB, "": NO_BOX_PROB}, rng)
    return [*parts, box, Part(f"{total}}}")] if box.text else [*parts, box]


def _spread(right: int, error_prob: float, offsets: Sequence[int]) -> dict[int, float]:
    written = {right: 1 - error_prob}
    for offset in offsets:
        _add(written, max(0, right + offset), error_prob / len(offsets))
    return written


def _add(distribution: dict[int, float], value: int, prob: float) -> None:
    distribution[value] = distribution.get(value, 0.0) + prob
