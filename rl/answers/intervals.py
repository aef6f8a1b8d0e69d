r"""Inequalities of one variable as intervals, and intervals in one spelling.

`1 < x \le 2`, `]1,2]` and `\{x \mid 1<x\le2\}` are `(1,2]`. Text in, text out: what the ends are
worth is read by `rl.answers.keys`.
"""

import re
from typing import NamedTuple

from rl.answers.names import is_variable


class Interval(NamedTuple):
    """An inequality as an interval: its brackets, such as `(]`, its ends and its variable."""

    brackets: str
    low: str
    high: str
    variable: str


_RELATION = re.compile(r"(<=|>=|<|>|\\[lg](?:t|eq?q?(?:slant)?)(?![A-Za-z]))")
_UNEQUAL = re.compile(r"\\neq?(?![A-Za-z])|\\not\s*=|!=")
_OUTWARD = re.compile(r"([\[\]])([^\[\]]*)([\[\]])")
_SET_BUILDER = re.compile(
    r"[A-Za-z](?:\s*\\in\s*\\mathbb\s*(?:R|\{\s*R\s*\}))?\s*(?:\||:|\\mid(?![A-Za-z])|\\vert)(.+)",
    re.DOTALL,
)


def interval_of(text: str) -> Interval | None:
    r"""Read a chain of inequalities as an interval.

    Args:
        text: Cleaned LaTeX.

    Returns:
        The interval; `-\infty` or `\infty` where an end is open. None for other text, for two
        variables and for a chain that turns round, `1<x>2`.

    Example:
        >>> interval_of(r"2 \ge x > 1")
        Interval(brackets='(]', low='1', high='2', variable='x')
    """
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) not in (3, 5):
        return None
    signs = [_relation_sign(part) for part in parts[1::2]]
    if len({sign[0] for sign in signs}) > 1:
        return None
    sides = parts[0::2]
    if signs[0][0] == ">":
        sides, signs = sides[::-1], signs[::-1]
    if len(sides) == 2:
        if is_variable(sides[0]):
            sides, signs = ["-\\infty", *sides], [("<", ""), *signs]
        else:
            sides, signs = [*sides, "\\infty"], [*signs, ("<", "")]
    low, middle, high = sides
    if not is_variable(middle):
        return None
    brackets = ("[" if signs[0][1] else "(") + ("]" if signs[1][1] else ")")
    return Interval(brackets, low, high, middle)


def hole_of(text: str) -> str | None:
    r"""Return what `x \ne 3` leaves out; None for other text."""
    sides = _UNEQUAL.split(text)
    return sides[1].strip() if len(sides) == 2 and is_variable(sides[0]) else None


def usual_brackets(text: str) -> str | None:
    """Turn brackets that open outwards: `]0,1]` is `(0,1]`; None if none does.

    Example:
        >>> usual_brackets("]0,1["), usual_brackets("[0,1]")
        ('(0,1)', None)
    """
    match = _OUTWARD.fullmatch(text) if text[:1] in ("[", "]") else None
    if match is None or match[1] + match[3] == "[]":
        return None
    return ("[" if match[1] == "[" else "(") + match[2] + ("]" if match[3] == "]" else ")")


def set_condition(inside: str) -> str | None:
    r"""Return the condition of a set of numbers, `x \mid x>1`, without its braces, or None."""
    match = _SET_BUILDER.fullmatch(inside)
    return match[1].strip() if match else None


def _relation_sign(token: str) -> tuple[str, str]:
    """Split a relation into its direction and whether the end belongs to it."""
    is_less = token[0] == "<" or token.startswith("\\l")
    return ("<" if is_less else ">", "" if token in ("<", ">", "\\lt", "\\gt") else "=")
