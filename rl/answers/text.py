r"""One spelling for answers: LaTeX layout, units and Unicode signs removed or replaced.

What is dropped cannot tell two answers of one prompt apart, or practically never does: spacing,
sizes of brackets, dollar signs, fonts, thousands separators, and the unit after a value.
"""

import re
import unicodedata
from itertools import pairwise

_UNICODE = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": "\\times ",
        "·": "\\cdot ",
        "⋅": "\\cdot ",
        "÷": "/",
        "π": "\\pi ",
        "∞": "\\infty ",
        "√": "\\sqrt ",
        "±": "\\pm ",
        "≤": "\\le ",
        "≥": "\\ge ",
        "≠": "\\neq ",
        "≈": "\\approx ",
        "\u222a": "\\cup ",
        "∈": "\\in ",
        "∅": "\\emptyset ",
        "°": "^\\circ",
        "\u2044": "/",
        "½": "\\frac{1}{2}",
        "¼": "\\frac{1}{4}",
        "¾": "\\frac{3}{4}",
        **{character: f"^{digit}" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    }
)
_LAYOUT = re.compile(
    r"(?P<newline>\\\\)|(?P<comma>\{\s*,\s*\})|\\?[$\"]|(?<=\d)\\,(?=\d{3}(?!\d))"
    r"|(?P<space>\\[,;: ]|~|\\q?quad)"
    r"|\\[!()\[\]]|\\(?:left|right|[Bb]igg?[lr]?|displaystyle|textstyle)(?![A-Za-z])\.?"
)
_COLUMNS = re.compile(r"(?<=\\begin\{array\})\s*\{[lcr|\s]*\}")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_DEGREES = re.compile(r"\^\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?|\\degree(?![A-Za-z])")
_FONT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox"
    r"|operatorname\*?|boldsymbol|bm|boxed|fbox)\s*\{([^{}\\]*)\}"
)
_TEXT_UNIT = re.compile(
    r"\s*\\(?:text[a-z]*|mathrm|mbox)\s*\{([^{}\\]*)\}(?:\s*\^\s*\{?\s*[23]\s*\}?)?"
    r"(?=\s*(?:[,;)\]]|$))"
)
_ITEM_START = re.compile(r"[,;(\[]")
_GLUED_UNIT = re.compile(r"(?<=\d)(?:[cmk]m|[km]g|m[lL]|mph|kph)(?:\^\{?[23]\}?)?$")
_UNIT_WORD = re.compile(r"[A-Za-z]{2,}\.?(?:\s*\^\s*\{?\s*[23]\s*\}?)?$")
_UNIT_RATIO = re.compile(r"[A-Za-z]+(?:\^\{?[23]\}?)?(?:/[A-Za-z]+(?:\^\{?[23]\}?)?)?$")
# Words that carry meaning after a number: connectors, factors, directions, halves of the day.
_NOT_A_UNIT = re.compile(
    "and|or|am|pm|million|billion|trillion|thousand|hundred|dozen|mod|if|when|for|where|is|are|to"
    "|north|south|east|west|pi|sqrt|sin|cos|tan|log|ln|infinity|infty|percent|percentage|pct"
    "|about|approximately|i|e"
)
_LONG_WORD = re.compile(r"[A-Za-z]{4}")
_SHORT_UNIT = re.compile(
    r"(?:[cmkdn]m|[km]g|m[lL]|ft|in|yd|mi|lb|lbs|oz|hr|hrs|min|sec|day|mph|kph|deg|rad|sq|per)\b"
)
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])(?<!\\begin\{)(?<!\\end\{)(?!pi\b|sqrt\b)[A-Za-z]{2,}")
_CURRENCY = re.compile(r"^([-+]?)\s*[€£¥]\s*|\s*[€£¥]$")
# A comma that can only group digits or start decimals: 12{,}345 and 12,\!345; 1{,}5.
_TYPESET_COMMA = re.compile(r"\d+(?:\s*(?:\{\s*,\s*\}|,\s*\\!)\s*\d+)+")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)")
_LIST_BRACKET = re.compile(r"[(\[]|\\\{")
# Up to the last verb, or colon after two words, with neither a number nor a formula before it.
_INTRODUCTION = re.compile(
    r"(?=(?:the|that|this|there|here|it|we|our|so|therefore|thus|hence|when|final|answer)\b)"
    r"[^\d=<>\\^{}.;!?]{0,100}"
    r"(?:\b(?:is|are|be|equals|that|get|have|by|answer|so|therefore|thus|hence)\b[:,]?|\w:)\s*"
    r"|[A-Za-z]+(?: [A-Za-z]+)+:\s*",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\s+is (?:the|our|a) (?:final )?(?:answer|solution|result|value)$")


def clean_answer(text: str) -> str:
    r"""Remove what does not belong to an answer's value, keep its structure.

    Args:
        text: An answer as extracted; any characters.

    Returns:
        LaTeX without fonts, spacing commands, dollar signs and units; whitespace collapsed.

    Example:
        >>> clean_answer(r"$\left(\dfrac12,\,\text{ 3 cm}\right)$.")
        '(\\frac12, 3 cm )'
        >>> clean_answer(r"5\text{ cm}^2")
        '5'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_UNICODE)).translate(_UNICODE)
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = "".join(c if c.isprintable() else " " for c in text)
    if "," in text:
        text = _TYPESET_COMMA.sub(_replace_typeset_comma, text)
    text = _LAYOUT.sub(_replace_layout, text)
    text = _DEGREES.sub(r"^\\circ", _FRACTION.sub(r"\\frac", _COLUMNS.sub("", text)))
    text = strip_units(_strip_ends(text))
    for _ in range(4):  # fonts nest: \textbf{\text{(B)}}
        text, count = _FONT.subn(r" \1 ", text)
        if not count:
            break
    text = _strip_ends(" ".join(text.split()))
    if text[:1].isalpha():
        text = strip_introduction(text)
    return _join_thousands(_CURRENCY.sub(r"\1", text))


def _replace_typeset_comma(match: re.Match[str]) -> str:
    first, *others = re.findall(r"\d+", match.group())
    if first[0] != "0" and len(first) <= 3 and all(len(digits) == 3 for digits in others):
        return first + "".join(others)
    is_decimal = len(others) == 1 and "!" not in match.group()
    return f"{first}.{others[0]}" if is_decimal else match.group()


def _join_thousands(text: str) -> str:
    """Remove the separators of thousands, unless a comma of the text separates items: `12,5,200`.

    Inside brackets `(0,100)` is a pair; a comma before a space separates items too.
    """
    if " " in text and _SPACED_THOUSANDS.fullmatch(text):
        return text.replace(" ", "")
    if "," not in text or _LIST_BRACKET.search(text):
        return text
    joined = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    return text if re.search(r",(?! )", joined) else joined


def _replace_layout(match: re.Match[str]) -> str:
    if match["newline"]:
        return match["newline"]
    if match["comma"]:
        return ","
    return " " if match["space"] else ""


def _strip_ends(text: str) -> str:
    """Remove surrounding whitespace, Markdown emphasis and final punctuation."""
    text = text.strip(" *`")
    while text.endswith((".", ",", ";", ":")) or (text.endswith("\\") and text[-2:] != "\\\\"):
        text = text[:-1].rstrip(" *`")
    return text


def strip_introduction(text: str) -> str:
    r"""Keep the value that a sentence states: `The largest n is 34` says 34.

    Only sentences that start as an introduction does and hold no other number or formula before the
    value are read; `Tom is 5 and Ann is 7` stays as it is.

    Example:
        >>> strip_introduction("Therefore x < 3 is the solution"), strip_introduction("Tom is 5")
        ('x < 3', 'Tom is 5')
    """
    match = _INTRODUCTION.match(text)
    if match is None:
        return text
    value = _CONCLUSION.sub("", text[match.end() :])
    is_stated = _has_value(re.sub(r"\b(?:and|or)\b", ",", strip_units(value)))
    return strip_units(value) if is_stated else text


def strip_units(text: str) -> str:
    r"""Remove a unit after a value: `5\text{ cm}^2`, `12 square feet`, `3 km/h`, `30^\circ`.

    Words that carry meaning (`and`, `PM`, `million`, `north`, ...) stay, and so does text with no
    digit before it.

    Example:
        >>> strip_units("12 square feet"), strip_units("3 PM"), strip_units(r"\text{cm}")
        ('12', '3 PM', '\\text{cm}')
    """
    text = _GLUED_UNIT.sub("", _TEXT_UNIT.sub(_replace_text_unit, text))
    words = text.split(" ")
    is_ratio = len(words) > 1 and "/" in words[-1] and _UNIT_RATIO.match(words[-1])
    end = len(words) - 1 if is_ratio else len(words)
    while end > 1 and _is_plain_unit(words[end - 1]):
        end -= 1
    value = " ".join(words[:end])
    return value.rstrip() if end < len(words) and _has_value(value) else text


def _replace_text_unit(match: re.Match[str]) -> str:
    item = _ITEM_START.split(match.string[: match.start()])[-1]
    return "" if _has_value(item) and _is_unit(match[1]) else match.group()


def _has_value(text: str) -> bool:
    """Tell whether text before a unit is a value, not the start of a sentence."""
    return not _PLAIN_WORD.search(text) and re.search(r"\d|\\[A-Za-z]", text) is not None


def _is_unit(text: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[A-Za-z]+", text.replace(".", ""))]
    return bool(words) and not any(_NOT_A_UNIT.fullmatch(word) for word in words)


def _is_plain_unit(text: str) -> bool:
    """Tell whether an unmarked word is a unit; "4 xy" is a product."""
    is_word = _UNIT_WORD.match(text) and (_SHORT_UNIT.match(text) or _LONG_WORD.match(text))
    return bool(is_word) and _is_unit(text)


def split_top_level(text: str, separators: str) -> list[str]:
    r"""Split at separators that stand outside every bracket, brace and environment.

    Args:
        text: Cleaned LaTeX.
        separators: Characters to split at, for example `",;"`.

    Returns:
        The parts, stripped; a single part if there is no separator. Unbalanced brackets simply
        change what counts as outside.

    Example:
        >>> split_top_level("(1,2), 3", ",")
        ['(1,2)', '3']
    """
    depth, cuts = 0, [-1]
    for match in _BRACKET.finditer(text):
        token = match.group()
        if token in _OPENING or token.startswith("\\begin"):
            depth += 1
        elif token in _CLOSING or token.startswith("\\end"):
            depth -= 1
        elif depth == 0 and token in separators:
            cuts.append(match.start())
    cuts.append(len(text))
    return [text[start + 1 : end].strip() for start, end in pairwise(cuts)]


def outer_brackets(text: str) -> tuple[str, str, str] | None:
    r"""Take off one pair of brackets around the whole text: `(`, `[`, `\{` or `{`.

    Round and square brackets may close each other, as in the interval `(0,1]`.

    Example:
        >>> outer_brackets("(0,1]"), outer_brackets("(a)(b)")
        (('(', '0,1', ']'), None)
    """
    depth = 0
    opening = None
    for match in _BRACKET.finditer(text):
        token = match.group()
        if token in _OPENING:
            opening = opening or (match if match.start() == 0 else None)
            depth += 1
        elif token in _CLOSING:
            depth -= 1
            if depth == 0 and opening:
                is_whole = match.end() == len(text)
                inside = text[opening.end() : match.start()].strip()
                return (opening.group(), inside, token) if is_whole else None
        if opening is None:
            return None
    return None


_OPENING = frozenset(("(", "[", "{", "\\{"))
_CLOSING = frozenset((")", "]", "}", "\\}"))
_BRACKET = re.compile(
    r"\\(?:begin|end)\{[A-Za-z]*\*?\}|\\[{}]|\\[A-Za-z]+|\\.|[(){}\[\],;=]", re.DOTALL
)
