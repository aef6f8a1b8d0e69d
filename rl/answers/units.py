r"""Units after a value: `5\text{ cm}^2`, `12 square feet`, `3 km/h`.

Of one prompt's answers the value tells them apart, and the unit practically never does. Where it
does, between the items of one answer (`5 cats, 3 dogs`), it stays.
"""

import re

_TEXT = r"\\(?:text[a-z]*|mathrm|mbox)\s*\{([^{}\\]*)\}(?:\s*\^\s*\{?\s*-?[123]\s*\}?)?"
_MORE_TEXT = _TEXT.replace("([^{}", "(?:[^{}")
_TEXT_UNIT = re.compile(
    rf"\s*(?:\\mu\s*)?{_TEXT}(?:\s*(?:\\cdot|\\times|/)?\s*{_MORE_TEXT}){{0,3}}(?=\s*(?:[,;)\]]|$))"
)
_TEXT_RATIO = re.compile(rf"\s*\\frac\s*\{{\s*{_TEXT}\s*\}}\s*\{{\s*{_MORE_TEXT}\s*\}}$")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_ITEM_START = re.compile(r"[,;(\[]")
_GLUED_UNIT = re.compile(
    r"(?<=\d)(?:[cmk]m|[km]g|m[lL]|mph|kph)(?:\^\{?[23]\}?)?$"
    r"|(?<=\d)(?:\^?\{? ?(?:st|nd|rd|th) ?\}?| ?\\Omega)$|(?<=\\circ) ?[CFK]$"
)
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
    r"(?:[cmkdn]m|[km]g|m[lL]|ft|in|yd|mi|lb|lbs|oz|hr|hrs|min|sec|day|mph|kph|deg|rad|sq|per|old"
    r"|USD|EUR|GBP)\b"
)
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])(?<!\\begin\{)(?<!\\end\{)(?!pi\b|sqrt\b)[A-Za-z]{2,}")


def strip_units(text: str) -> str:
    r"""Remove a unit after a value: `5\text{ cm}^2`, `12 square feet`, `3 km/h`, `30^\circ`.

    Words that carry meaning (`and`, `PM`, `million`, `north`, ...) stay, and so does text with no
    digit before it.

    Example:
        >>> strip_units("12 square feet"), strip_units("3 PM"), strip_units(r"\text{cm}")
        ('12', '3 PM', '\\text{cm}')
    """
    if "\\" in text and not _is_list_of_kinds(text):
        text = _TEXT_UNIT.sub(_replace_text_unit, _TEXT_RATIO.sub(_replace_text_unit, text))
    text = _GLUED_UNIT.sub("", text)
    words = text.split(" ")
    is_ratio = len(words) > 1 and "/" in words[-1] and _UNIT_RATIO.match(words[-1])
    end = len(words) - 1 if is_ratio else len(words)
    while end > 1 and _is_plain_unit(words[end - 1]):
        end -= 1
    value = " ".join(words[:end])
    return value.rstrip() if end < len(words) and has_value(value) else text


def unit_of(text: str) -> str:
    """Return the unit that `strip_units` removes, without case and plural; "" if there is none.

    Example:
        >>> unit_of("6 Hours"), unit_of("6")
        ('hour', '')
    """
    value = strip_units(text)
    is_cut = len(value) < len(text) and text.startswith(value)
    return text[len(value) :].strip(" .").casefold().removesuffix("s") if is_cut else ""


def _is_list_of_kinds(text: str) -> bool:
    r"""Tell whether units tell items apart: `5\text{ cats}, 3\text{ dogs}`."""
    if ("," not in text and ";" not in text) or re.search(r"[=(\[]", text):
        return False
    units = {match[1].strip(" .").casefold() for match in _TEXT_UNIT.finditer(text)}
    return len({unit.removesuffix("s") for unit in units}) > 1


def _replace_text_unit(match: re.Match[str]) -> str:
    item = _ITEM_START.split(match.string[: match.start()])[-1]
    words = _COMMAND.sub(" ", match.group())
    return "" if has_value(item) and _is_unit(words) else match.group()


def has_value(text: str) -> bool:
    """Tell whether text is a number or formula, without words such as the start of a sentence."""
    return not _PLAIN_WORD.search(text) and re.search(r"\d|\\[A-Za-z]", text) is not None


def _is_unit(text: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[A-Za-z]+", text.replace(".", ""))]
    return bool(words) and not any(_NOT_A_UNIT.fullmatch(word) for word in words)


def _is_plain_unit(text: str) -> bool:
    """Tell whether an unmarked word is a unit; "4 xy" is a product."""
    is_word = _UNIT_WORD.match(text) and (_SHORT_UNIT.match(text) or _LONG_WORD.match(text))
    return bool(is_word) and _is_unit(text)
