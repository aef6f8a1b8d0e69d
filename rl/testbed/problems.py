r"""Chain arithmetic and the noisy teacher who writes its solutions: pure Python, no model.

A prompt is `4+1-6=`, a whole number followed by one signed digit per step. A solution works from
left to right and boxes the last total: `4+1=5;5-6=-1\boxed{-1}`. The teacher is wrong in two ways.

* It slips: each step is off by one or two with probability `SLIP_PROB`, whatever the problem. The
  wrong values are spread out, so a majority of several solutions is right.
* It misunderstands borrowing: where a digit is subtracted from a smaller one it takes the smaller
  from the larger, `12-5=13`, with probability `BORROW_ERROR_PROB`. This is the same wrong value
  each time, so a majority is confidently wrong.

A prompt is hard if the misunderstanding changes its answer and easy if it does not.

Source: "Diagnostic Models for Procedural Bugs in Basic Mathematical Skills" (Brown and Burton,
1978), the smaller-from-larger bug. Differs: it is applied at random, and slips are added.
"""

import random
import re
from itertools import accumulate

from rl.testbed.parts import Part, draw

MAX_TOTAL = 15
SLIP_PROB = 0.2
SLIP_OFFSETS = (-2, -1, 1, 2)
BORROW_ERROR_PROB = 0.8


def parse_prompt(prompt: str) -> list[int]:
    """Split a prompt into its signed terms.

    Raises:
        ValueError: If the text is not a chain such as `4+1-6=`.

    Example:
        >>> parse_prompt("14+1-6=")
        [14, 1, -6]
    """
    if not re.fullmatch(r"[0-9]+([+-][0-9])+=", prompt):
        raise ValueError(
            f"prompt: got {prompt!r}, expected a number and signed digits such as '4+1-6='. "
            "Pass a prompt of the testbed."
        )
    return [int(term) for term in re.findall(r"[+-]?[0-9]+", prompt)]


def solve(prompt: str) -> str:
    """Return the right answer: the sum of the terms.

    Example:
        >>> solve("8+4-5=")
        '7'
    """
    return str(sum(parse_prompt(prompt)))


def solve_with_borrow_error(prompt: str) -> str:
    """Return the answer of a teacher who never slips and misunderstands every borrow.

    Example:
        >>> solve_with_borrow_error("8+4-5=")
        '13'
    """
    total, *terms = parse_prompt(prompt)
    for term in terms:
        total = add_with_borrow_error(total, term)
    return str(total)


def add_with_borrow_error(total: int, term: int) -> int:
    """Add a signed digit, taking the smaller ones digit from the larger where a borrow is needed.

    With u the ones digit of the total: total - u + |u + term| if total >= 10 and u + term < 0,
    else total + term. The two differ whenever the first case applies.

    Example:
        >>> add_with_borrow_error(12, -5), add_with_borrow_error(15, -2)
        (13, 13)
    """
    ones = total % 10
    if total >= 10 and ones + term < 0:
        return total - ones - (ones + term)
    return total + term


def is_hard(prompt: str) -> bool:
    """Say whether the misunderstanding changes the answer, so that the majority is wrong."""
    return solve_with_borrow_error(prompt) != solve(prompt)


def make_prompt(rng: random.Random, num_steps: int) -> str:
    """Draw a prompt of `num_steps` >= 1 signed digits with running totals in 0..MAX_TOTAL."""
    while True:
        terms = [rng.randint(1, MAX_TOTAL)]
        for _ in range(num_steps):
            terms.append(rng.choice((-1, 1)) * rng.randint(1, 9))
        if all(0 <= total <= MAX_TOTAL for total in accumulate(terms)):
            return str(terms[0]) + "".join(f"{term:+d}" for term in terms[1:]) + "="


def step_distribution(total: int, term: int) -> dict[int, float]:
    """Return what the teacher may write as `total + term`, and with which probability.

    P(r) = (1 - SLIP_PROB) * P(meant = r) + SLIP_PROB * mean over o of P(meant = r - o)

    where meant is the misunderstood sum with probability `BORROW_ERROR_PROB` and the right one
    otherwise, which are the same without a borrow, and o is one of `SLIP_OFFSETS`.

    Example:
        >>> step_distribution(4, 1)
        {5: 0.8, 3: 0.05, 4: 0.05, 6: 0.05, 7: 0.05}
    """
    right = total + term
    meant = {right: 1.0}
    if add_with_borrow_error(total, term) != right:
        meant = {
            add_with_borrow_error(total, term): BORROW_ERROR_PROB,
            right: 1 - BORROW_ERROR_PROB,
        }
    written: dict[int, float] = {}
    for result, prob in meant.items():
        written[result] = written.get(result, 0.0) + prob * (1 - SLIP_PROB)
        for offset in SLIP_OFFSETS:
            slip = result + offset
            written[slip] = written.get(slip, 0.0) + prob * SLIP_PROB / len(SLIP_OFFSETS)
    return written


def write_solution(prompt: str, rng: random.Random) -> list[Part]:
    r"""Solve a prompt as the teacher does; an error is carried into the steps after it.

    Returns:
        The solution, part by part, each with what might have stood in its place.

    Example:
        >>> parts = write_solution("4+1+6=", random.Random(0))
        >>> "".join(part.text for part in parts)
        '4+1=3;3+6=9\\boxed{9}'
    """
    total, *terms = parse_prompt(prompt)
    parts = []
    for i, term in enumerate(terms):
        result = draw(step_distribution(total, term), rng)
        parts += [Part(f"{';' if i else ''}{total}{term:+d}="), result]
        total = int(result.text)
    return [*parts, Part(rf"\boxed{{{total}}}")]
