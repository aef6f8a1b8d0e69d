r"""A canonical, hashable key for one answer: equal keys are the same answer.

Kinds of keys and what they hold:

    number      Fraction; decimals are exact, so 0.333333 is not 1/3, except that decimals of 13 and
                more digits are a program's floats, compared like symbolic expressions
    value       values of a symbolic expression at fixed points, see `rl.answers.expressions`
    percent     Fraction before the sign
    based       digits and base of `1011_2`
    rounded     Fraction and its number of decimals, where the answer says so: `\approx 3.14`
    infinity    sign
    set         frozenset of keys: `\{1,2\}`, `1,2`, `1 \text{ or } 2`, `3\pm1`, `\{1\} \cup \{2\}`;
                order is free; also the solutions of a system, `p=5, q=2; p=7, q=2`, as tuples in
                order of the names
    named       pairs of name and key, in order of the names: `x=1, y=2`, also as `cases`
    ( )  ( ]    keys in order: tuples and intervals, named by their brackets; also `0<x\le1`,
                `x>0 and x<1`, `]0,1[` and `\mathbb{R}`
    matrix      rows of keys
    union       frozenset of keys; also `x<1 or x>2` and `x\ne3`
    ratio       keys of `3:2` divided by the last; undivided if a part is 0 or starts so (`12:05`)
    equation    values of left minus right side, up to a factor
    word        text in lower case without its article
    raw         anything else, without whitespace: only Math-Verify can tell

`rl.answers.readings` says which other keys an answer may stand for.
"""

import re
from collections.abc import Hashable, Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from rl.answers.expressions import evaluate_expression, fingerprint
from rl.answers.grammar import is_float_printout
from rl.answers.intervals import hole_of, interval_of, set_condition, usual_brackets
from rl.answers.names import (
    is_name,
    is_variable,
    is_words,
    plain_name,
    plain_words,
    split_answers,
)
from rl.answers.text import clean_answer, outer_brackets, split_top_level
from rl.answers.units import strip_units, unit_of

_MAX_CHARACTERS = 2_000
_MAX_DEPTH = 4
_MAX_ITEMS = 64


class AnswerKey(NamedTuple):
    """What an answer is, apart from how it is written; `kind` and `content` as in the module."""

    kind: str
    content: Hashable


_INTEGER = re.compile(r"-?\d{1,30}")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_MIXED = re.compile(r"(-?)(\d+) (\d+)/(\d+)")
_PERCENT = re.compile(r"(.+?)\s*(?:\\?%|\b[Pp]er\s?cent(?:age)?|\bpct)")
_BASED = re.compile(r"(\d+)_\{?\s*(\d+)\s*\}?")
_INFINITY = re.compile(r"([-+]?)\s*(?:\\infty|\\?infinity|oo)")
_CHOICE = re.compile(r"\(?([A-Z])[).]")
_SCALED = re.compile(r"(.+?)\s*(thousand|million|billion|trillion)")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CASES = re.compile(r"\\begin\{cases\}([^&]*)\\end\{cases\}", re.DOTALL)
_MATRIX = re.compile(r"\\begin\{([pbB]?(?:small)?matrix|array)\}(.*)\\end\{\1\}", re.DOTALL)
_RATIO = re.compile(r"[^:]+(?::[^:]+)+")
_MEMBERSHIP = re.compile(r"[A-Za-z]\s*\\in(?![A-Za-z])\s*")
_NUMBER_SETS = ("()", "(]", "[)", "[]", "union")
_EMPTY_SET = re.compile(r"\\emptyset|\\varnothing|\\\{\s*\\\}")
_ALL_NUMBERS = re.compile(r"\\mathbb\s*(?:R|\{\s*R\s*\})|(?:the set of )?all reals?(?: numbers?)?")
_EQUAL_SIGN = re.compile(r"(?<![<>!:])=(?!=)")
_RELATION_SIGN = re.compile(r"[<>]|\\[lg][et]")
_OR = re.compile(r"\\(?:lor|vee)(?![A-Za-z])|(?<![\\A-Za-z])or(?![A-Za-z](?!\s*[=<>(\\]))")
_APPROXIMATE = re.compile(r"\\(?:approx|simeq)(?![A-Za-z])|\b(?:about|approximately|roughly)\b")
_SINGLE_BRACES = re.compile(r"\{(\w)\}")


@lru_cache(maxsize=65_536)
def answer_key(answer: str) -> AnswerKey:
    r"""Find the canonical key of an answer.

    Args:
        answer: An answer as extracted, LaTeX or plain; any characters, any length.

    Returns:
        Its key. Assignments to one name count as their value (`x=5` is 5). Text that is too long or
        nested too deeply is `raw`.

    Example:
        >>> answer_key(r"\frac{1}{2}") == answer_key("0.50")
        True
        >>> answer_key("(1,2)") == answer_key("(2,1)")
        False
    """
    if _INTEGER.fullmatch(answer):
        return AnswerKey("number", Fraction(int(answer)))
    if len(answer) > _MAX_CHARACTERS:
        return AnswerKey("raw", answer)
    text = clean_answer(answer)
    key = _parse(text, 0)
    if key is None:
        packed = _SINGLE_BRACES.sub(r"\1", "".join(text.split()))
        return AnswerKey("raw", packed or answer)
    return key


def approximate_value(key: AnswerKey) -> complex | None:
    """Give the size of a constant `number` or `value`; None for other keys and above 1e300."""
    if key.kind == "number" and isinstance(key.content, Fraction):
        return complex(key.content) if abs(key.content) < 10**300 else None
    if key.kind == "value" and isinstance(key.content, tuple) and len(key.content) == 1:
        return complex(*map(float, str(key.content[0]).split()))
    return None


def _parse(text: str, depth: int) -> AnswerKey | None:
    if depth > _MAX_DEPTH or not text:
        return None
    if depth:
        text = strip_units(text)
    for rule in _RULES:
        key = rule(text, depth)
        if key:
            return key
    return _expression(text)


def _simple(text: str, depth: int) -> AnswerKey | None:
    """Read what one regular expression recognizes."""
    if _NUMBER.fullmatch(text) and not is_float_printout(text):
        return AnswerKey("number", Fraction(text))
    if _ALL_NUMBERS.fullmatch(text):
        return AnswerKey("()", (AnswerKey("infinity", "-"), AnswerKey("infinity", "+")))
    if is_words(text):
        return AnswerKey("word", plain_words(text))
    if match := _MIXED.fullmatch(text):
        return _expression(f"{match[1]}({match[2]}+{match[3]}/{match[4]})")
    if match := _SCALED.fullmatch(text):
        return _expression(f"({match[1]})*{_SCALES[match[2]]}")
    if match := _CHOICE.fullmatch(text):
        return _expression(match[1])
    if match := _INFINITY.fullmatch(text):
        return AnswerKey("infinity", match[1] or "+")
    if match := _BASED.fullmatch(text):
        return AnswerKey("based", (int(match[1]), int(match[2])))
    if _EMPTY_SET.fullmatch(text):
        return AnswerKey("set", frozenset())
    if match := _PERCENT.fullmatch(text):
        number = _parse(match[1], depth + 1)
        return AnswerKey("percent", number.content) if number and number.kind == "number" else None
    if match := _MEMBERSHIP.match(text):
        return _parse(text[match.end() :], depth + 1)
    return None


def _brackets(text: str, depth: int) -> AnswerKey | None:
    """Read tuples, intervals and sets; brackets around a single item only group it."""
    brackets = outer_brackets(text)
    if brackets is None:
        return None
    opening, inside, closing = brackets
    parts = split_top_level(inside, ",;")
    is_set = opening in ("{", "\\{")
    condition = set_condition(inside) if is_set else None
    if condition is not None:
        numbers = _parse(condition, depth + 1)
        return numbers if numbers and numbers.kind in _NUMBER_SETS else None
    if len(parts) == 1:
        return _parse(inside, depth + 1)
    items = _parse_items(parts, depth + 1) if is_set else _parse_all(parts, depth + 1)
    if items is None:
        return None
    if is_set:
        return AnswerKey("set", frozenset(items))
    return AnswerKey(opening + closing, items)


def _matrix(text: str, depth: int) -> AnswerKey | None:
    """Read a matrix row by row, and the rows of a system as a list."""
    if (cases := _CASES.fullmatch(text)) and "\\begin" not in cases[1]:
        return _several(cases[1].replace("\\\\", ","), depth)
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match[2]:
        return None
    body = match[2].strip().removesuffix("\\\\")
    rows = [_parse_all(row.split("&"), depth + 1) for row in body.split("\\\\")]
    return None if None in rows else AnswerKey("matrix", tuple(rows))


def _several(text: str, depth: int) -> AnswerKey | None:
    """Read unions and lists."""
    parts = text.split("\\cup")
    if len(parts) > 1:
        items = _parse_all(parts, depth + 1)
        if items is None:
            return None
        is_finite = all(part.strip().startswith("\\{") for part in parts)
        members = chain.from_iterable(
            item.content if isinstance(item.content, frozenset) else (item,) for item in items
        )
        return AnswerKey("set", frozenset(members)) if is_finite else _union(items)
    parts = split_answers(text)
    if len(parts) < 2:
        return None
    sides = [_EQUAL_SIGN.split(part) for part in parts]
    names = [plain_name(side[0]) for side in sides if len(side) == 2 and is_name(side[0])]
    if not names and len({unit_of(part) for part in parts} - {""}) > 1:
        return None  # "5 cats, 3 dogs" is no "3 cats, 5 dogs"
    items = _parse_items(parts, depth + 1)
    if items is None:
        return None
    unique = frozenset(items)
    return (_assignments(names, items) if len(names) == len(items) else None) or (
        AnswerKey("set", unique) if len(unique) > 1 else items[0]
    )


def _assignments(names: list[str], items: tuple[AnswerKey, ...]) -> AnswerKey | None:
    """Read values of different names, or the solutions of a system one after the other."""
    num_names = len(set(names))
    if num_names == 1 or len(names) % num_names:
        return None
    pairs = list(zip(names, items, strict=True))
    solutions = [
        tuple(sorted(pairs[start : start + num_names], key=lambda pair: pair[0]))
        for start in range(0, len(pairs), num_names)
    ]
    if len({tuple(name for name, _ in solution) for solution in solutions}) > 1:
        return None
    if len(solutions) == 1:
        return AnswerKey("named", solutions[0])
    tuples = (AnswerKey("()", tuple(item for _, item in solution)) for solution in solutions)
    return AnswerKey("set", frozenset(tuples))


def _relation(text: str, depth: int) -> AnswerKey | None:
    r"""Read inequalities of one variable as intervals: `1 < x \le 2` and `]1,2]` are `(1,2]`."""
    turned = usual_brackets(text)
    if turned is not None:
        return _brackets(turned, depth)
    interval = interval_of(text)
    ends = interval and _parse_all([interval.low, interval.high], depth + 1)
    return AnswerKey(interval.brackets, ends) if interval and ends else None


def _relations(text: str, depth: int) -> AnswerKey | None:
    """Read `x<1 or x>2` as a union, `x>1 and x<2` as the interval that both leave."""
    if not _RELATION_SIGN.search(text):
        return None
    is_choice = _OR.search(text) is not None
    parts = split_answers(text)
    intervals = [interval_of(part) for part in parts]
    found = [interval for interval in intervals if interval]
    if len(found) < max(2, len(intervals)) or len({interval.variable for interval in found}) > 1:
        return None
    keys = _parse_all(parts, depth + 1)
    if keys is None:
        return None
    common = None if is_choice or len(keys) > 2 else _intersection(*keys)
    return common or _union(keys)


def _union(items: Iterable[AnswerKey]) -> AnswerKey:
    return AnswerKey("union", frozenset(items))


def _intersection(left: AnswerKey, right: AnswerKey) -> AnswerKey | None:
    """Cut two half-lines that point at each other; None for others and for those that miss."""
    for below, above in ((left, right), (right, left)):
        if not (isinstance(below.content, tuple) and isinstance(above.content, tuple)):
            return None
        (lowest, high), (low, highest) = below.content, above.content
        if (lowest.kind, highest.kind) == ("infinity", "infinity"):
            sizes = [approximate_value(low), approximate_value(high)]
            if None not in sizes and sizes[0].real < sizes[1].real:  # type: ignore[union-attr]
                return AnswerKey(above.kind[0] + below.kind[1], (low, high))
    return None


def _unequal(text: str, depth: int) -> AnswerKey | None:
    r"""Read `x \ne 3` as everything below and above 3."""
    left_out = hole_of(text)
    hole = None if left_out is None else _parse(left_out, depth + 1)
    if hole is None or hole.kind not in ("number", "value"):
        return None
    ends = (AnswerKey("infinity", "-"), hole, AnswerKey("infinity", "+"))
    return _union((AnswerKey("()", ends[:2]), AnswerKey("()", ends[1:])))


def _approximate(text: str, depth: int) -> AnswerKey | None:
    r"""Read a decimal that says it is rounded; of `\pi \approx 3.14` the exact side counts."""
    sides = [side.strip() for side in _APPROXIMATE.split(text)]
    if len(sides) != 2:
        return None
    exact, decimal = sides
    exact = exact.removesuffix("is").strip()
    if _NUMBER.fullmatch(exact) and decimal and not _NUMBER.fullmatch(decimal):
        return _parse(decimal, depth + 1)
    if exact and not is_name(exact.removesuffix("=")):
        return _parse(exact, depth + 1)
    if not _NUMBER.fullmatch(decimal):
        return None
    return AnswerKey("rounded", (Fraction(decimal), len(decimal.partition(".")[2])))


def _equation(text: str, depth: int) -> AnswerKey | None:
    """Read `x = 5` and chains as the value on the right, other equations up to a factor."""
    sides = [side.strip() for side in _EQUAL_SIGN.split(text)]
    if len(sides) < 2 or not all(sides):
        return None
    if is_name(sides[0]) or len(sides) > 2:
        return _parse(sides[-1], depth + 1)
    if is_variable(sides[1]):
        return _parse(sides[0], depth + 1)
    values = evaluate_expression(f"{sides[0]}-({sides[1]})")
    if values is None:
        keys = _parse_all(sides, depth + 1) if sides[0][-1] in ")]}" else None
        is_collection = keys and keys[0].kind == keys[1].kind not in ("number", "value", "word")
        return keys[1] if keys and is_collection else None
    if len(values) == 1:  # no variables: the last step of a calculation
        return _parse(sides[1], depth + 1)
    if not all(values):
        return None
    ratios = tuple(complex(value) / complex(values[0]) for value in values[1:])
    return AnswerKey("equation", fingerprint(ratios))


def _ratio(text: str, depth: int) -> AnswerKey | None:
    items = _parse_all(text.split(":"), depth + 1) if _RATIO.fullmatch(text) else None
    if items is None or any(item.kind not in ("number", "value") for item in items):
        return None
    sizes = [item.content for item in items if isinstance(item.content, Fraction)]
    if len(sizes) == len(items) and all(sizes) and ":0" not in text:  # not a time of day
        items = tuple(AnswerKey("number", size / sizes[-1]) for size in sizes)
    return AnswerKey("ratio", items)


def _signs(text: str, depth: int) -> AnswerKey | None:
    if text.count("\\pm") != 1:
        return None
    items = _parse_all([text.replace("\\pm", sign) for sign in "+-"], depth + 1)
    return None if items is None else AnswerKey("set", frozenset(items))


def _expression(text: str) -> AnswerKey | None:
    values = evaluate_expression(text)
    if values is None:
        return None
    rounded = fingerprint(values)
    if len(rounded) == 1 and isinstance(rounded[0], Fraction):
        return AnswerKey("number", rounded[0])
    return AnswerKey("value", rounded)


def _parse_all(parts: list[str], depth: int) -> tuple[AnswerKey, ...] | None:
    if len(parts) > _MAX_ITEMS:
        return None
    keys = [_parse(part.strip(), depth) for part in parts]
    return tuple(key for key in keys if key) if all(keys) else None


def _parse_items(parts: list[str], depth: int) -> tuple[AnswerKey, ...] | None:
    r"""Read what a list or set holds, where `2, \pm 1` holds three."""
    items: list[AnswerKey] = []
    for part, key in zip(parts, _parse_all(parts, depth) or (), strict=False):
        both = key.content if "\\pm" in part and key.kind == "set" else (key,)
        items.extend(both if isinstance(both, frozenset) else (key,))
    return tuple(items) or None


_RULES = (
    *(
        _simple,
        _brackets,
        _matrix,
        _relations,
        _several,
        _relation,
        _unequal,
        _approximate,
        _equation,
        _ratio,
        _signs,
    ),
)
