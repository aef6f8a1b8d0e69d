"""Words and names in answers: what is prose, what names a value, what joins two answers."""

import re

from rl.answers.grammar import FUNCTIONS
from rl.answers.text import split_top_level

# "and" and "or" between answers; not letters of a product or word.
_CONNECTOR = re.compile(r"(?<![\\A-Za-z])(?:and|or)(?![A-Za-z](?!\s*[=(]))")
# The same as signs, between equations or inequalities; between letters they are a formula.
_LOGICAL_SIGN = re.compile(r"\\(?:land|lor|wedge|vee)(?![A-Za-z])")
_SEPARATOR = re.compile(r"[,;]|and|or|\\(?:vee|wedge)")
_RELATION_SIGN = re.compile(r"[=<>]|\\(?:[lg][et]|in)(?![A-Za-z])")
# A word has two letters in a row; next to a minus sign, four: "x-intercept", but not "ab-c".
_WORDS = re.compile(r"(?=.*[^\W\d_]{4}|[^-]*[^\W\d_]{2}[^-]*$)[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*")
_PRODUCT = re.compile(r"[b-df-hj-np-tv-z]{2,3}|pi|oo|infinity")  # "xy" is no word, "odd" is
_SUBSCRIPT = re.compile(r"_(?:\{[^{}]*\}|[A-Za-z0-9])")
_NAME = re.compile(r"[A-Za-z\\\s(){},'|:]+|[A-Za-z](?:\s*\+\s*[A-Za-z])+")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_NO_NAME = FUNCTIONS | {"frac", "sqrt"}
_SMALL_PRODUCT = re.compile(r"[a-z]{2,3}")
_VARIABLE = re.compile(r"[A-Za-z](?:\([a-z]\))?|\\[a-z]+")


def split_answers(text: str) -> list[str]:
    r"""Split a list at commas, semicolons and connectors outside of brackets; at least one part.

    Example:
        >>> split_answers(r"x=1 \lor x=2 or (3, 4)"), split_answers(r"p \lor q")
        (['x=1', 'x=2', '(3, 4)'], ['p \\lor q'])
    """
    if not _SEPARATOR.search(text):
        return [text]
    text = _CONNECTOR.sub(",", text)
    signs = _LOGICAL_SIGN.split(text)
    if len(signs) > 1 and all(_RELATION_SIGN.search(part) for part in signs):
        text = ",".join(signs)
    parts = split_top_level(text, ",;")
    return [part for part in parts if part] or [text]


def is_words(text: str) -> bool:
    """Tell whether text is words and no formula: `no solution`, but neither `xy` nor `2 or 3`."""
    is_list = _CONNECTOR.search(text) is not None
    return not is_list and not _PRODUCT.fullmatch(text) and _WORDS.fullmatch(text) is not None


def plain_words(text: str) -> str:
    """One spelling of words: without case and article, `no solutions` as `no solution`."""
    words = text.casefold().split()
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words).removesuffix("s" if words[0] == "no" else "\n")


def is_variable(text: str) -> bool:
    r"""Tell whether text is one name: `x`, `x_1`, `f(x)`, `\theta`."""
    return _VARIABLE.fullmatch(_SUBSCRIPT.sub("", text).strip()) is not None


def is_name(text: str) -> bool:
    r"""Tell whether a left side only names the value: `x`, `f(x)`, `(x,y)`, `S_1:S`, `m+n`."""
    name = _SUBSCRIPT.sub("", text).strip()
    is_name = _NAME.fullmatch(name) is not None and _NO_NAME.isdisjoint(_COMMAND.findall(name))
    return is_name and _SMALL_PRODUCT.fullmatch(name) is None


def plain_name(text: str) -> str:
    """One spelling of a name: `x_{1}` is `x_1`."""
    return re.sub(r"[{}\s]", "", text)
