r"""The spelling of an answer as TTRL's first code counts it in a vote.

Source: PRIME-RL/TTRL at 3e2cc93, verl/verl/utils/reward_score/ttrl/qwen/qwen_math_parser.py (there
    after Qwen2.5-Math's evaluation), which brings `\frac12`, `1/2` and `\dfrac{1}{2}` to one
    spelling, and so `142.0` and `142`, `x=3` and `3`, `90^\circ` and `90`.
Differs: an answer of more than 1,000 characters stays as it is. Words for numbers that do not make
    up a number ("one two three") may get another one.
Fails when: an answer holds letters. Words for units are removed wherever they stand alone, single
    letters such as a, c, d, g, h, l, m, o, s and t among them: `a+b` becomes `+b`, `\text{east}`
    the empty string.
"""

import re
from functools import lru_cache

MAX_CHARACTERS = 1000

# In the code's order, since removing one unit can bring the next to light. A dot is any character.
_UNITS = """
east|degree|mph|kmph|ft|m sqaure| m east|sq m|deg|mile|q .|monkey|prime|ratio|profit of rs|rd|o|gm
p . m|lb|tile|per|dm|lt|gain|ab|way|west|a .|b .|c .|d .|e .|f .|g .|h .|t|a|h|no change|men|soldier
pie|bc|excess|st|inches|noon|percent|by|gal|kmh|c|acre|rise|a . m|th|π r 2|sq|mark|l|toy|coin|sq . m
gallon|° f|profit|minw|yr|women|feet|am|pm|hr|cu cm|square|v â € ™|are|rupee|rounds|cubic|cc|mtr|s
ohm|number|kmph|day|hour|minute|min|second|man|woman|sec|cube|mt|sq inch|mp|∏ cm ³|hectare|more|sec
unit|cu . m|cm 2|rs .|rs|kg|g|month|km|m|cm|mm|apple|liter|loss|yard|pure|year|increase|decrease|d
less|Surface|litre|pi sq m|s .|metre|meter|inch
"""
_WORDS = [unit for line in _UNITS.strip().split("\n") for unit in line.split("|")]
_UNIT_PATTERNS = [  # with the beginning that a text must hold
    (unit.partition(".")[0], re.compile(rf"(^|\W){unit}($|\W)"))
    for unit in (*_WORDS, *(f"{word}s" for word in _WORDS))
]
_LAYOUT = {
    "\\!": "",
    "bmatrix": "pmatrix",
    "tfrac": "frac",
    "dfrac": "frac",
    "\\neq": "\\ne",
    "\\leq": "\\le",
    "\\geq": "\\ge",
    "\\left": "",
    "\\right": "",
    "\\{": "{",
    "\\}": "}",
}
_SIGNS = {"^{\\circ}": "", "^\\circ": "", "\\$": "", "$": "", "\\(": "", "\\)": ""}
_VARIABLES = ("x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to")
_REST = {
    **dict.fromkeys(_VARIABLES, ""),
    "\\emptyset": "{}",
    "(-\\infty,\\infty)": "\\mathbb{R}",
    "\\%": "",
    "%": "",
    " .": " 0.",
    "{.": "{0.",
    "infinity": "\\infty",
}
_NUMBER_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
"""
_NUMBERS: dict[str, int] = dict(
    zip(_NUMBER_WORDS.split(), (*range(20), *range(20, 100, 10)), strict=True)
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


@lru_cache(maxsize=4096)
def normalize_answer(answer: str) -> str:
    r"""Spell an answer as the vote counts it.

    Args:
        answer: An answer as extracted; any characters, "" for none.

    Returns:
        Its spelling, which may be empty.

    Example:
        >>> [normalize_answer(text) for text in ("1/2", "142.0", "x=3", r"90^\circ", "twelve cm")]
        ['\\frac{1}{2}', '142', '3', '90', '12']
    """
    if len(answer) > MAX_CHARACTERS:
        return answer
    text = re.sub(r"\n\s*", "", answer).removeprefix(":").removesuffix(".").removesuffix("/")
    text = text.strip().replace("\n", "").rstrip(".")
    text = re.sub(r"\\begin\{array\}\{.*?\}", r"\\begin{pmatrix}", text)
    text = _replace(text.replace("\\end{array}", "\\end{pmatrix}"), _LAYOUT)
    text = re.sub(r"\\text{.*?}$", "", text).strip() or text
    text = _replace(_without_units(text), _SIGNS)
    text = _number_of_words(text)
    text = _replace(re.sub(r"\\text\{(.*?)\}", r"\1", text), _REST)
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = re.sub(r"\\mbox{.*?}", "", text.replace("and", "").replace("\\mathbf", ""))
    if "i" not in text:
        text = text.replace("j", "i")
    text = re.sub(r"(\d)\.0*$", r"\1", re.sub(r"(\d)\.0*(\D)", r"\1\2", text))
    if text.startswith("."):
        text = f"0{text}"
    name, equals, value = text.partition("=")
    if equals and len(name) <= 2 and "=" not in value:
        text = value
    text = re.sub(r"\\sqrt(\w+)", r"\\sqrt{\1}", text).replace(" ", "")
    return _slash_to_fraction(_brace_fractions(text))


def _replace(text: str, spellings: dict[str, str]) -> str:
    for old, new in spellings.items():
        text = text.replace(old, new)
    return text


def _without_units(text: str) -> str:
    # Two units side by side share the character between them.
    for beginning, pattern in _UNIT_PATTERNS * 2:
        if beginning in text:
            text = pattern.sub(r"\1\2", text) or text
    return text


def _number_of_words(text: str) -> str:
    """Replace a text with words for a number in it by that number, whatever else it says."""
    lowered = text.replace("-", " ").lower()
    if lowered.isdecimal():
        return str(int(lowered))
    words = [
        word
        for word in lowered.split()
        if word in _NUMBERS or word in _SCALES or word in ("hundred", "point")
    ]
    if not words or any(words.count(word) > 1 for word in (*_SCALES, "point")):
        return text
    whole = words[: words.index("point")] if "point" in words else words
    if len(whole) > 1 and whole[0] in _SCALES:
        return text
    total = part = 0
    for word in whole:
        if word in _SCALES:
            total, part = total + (part or 1) * _SCALES[word], 0
        elif word == "hundred":
            part = (part or 1) * 100
        else:
            part += _NUMBERS[word]
    digits = [_NUMBERS.get(word, 10) for word in words[len(whole) + 1 :]]
    is_decimal = digits and max(digits) < 10
    return str(total + part + (float("0." + "".join(map(str, digits))) if is_decimal else 0))


def _brace_fractions(text: str) -> str:
    r"""Write `\frac12` as `\frac{1}{2}`, unless one of the fractions is cut off."""
    start, *pieces = text.split("\\frac")
    if any(len(piece) < 2 and piece != "{" for piece in pieces):
        return text
    return "\\frac".join([start, *map(_brace, pieces)])


def _brace(piece: str) -> str:
    if piece.startswith("{"):
        return piece
    rest = piece[1:] if piece[1] == "{" else f"{{{piece[1]}}}{piece[2:]}"
    return f"{{{piece[0]}}}{rest}"


def _slash_to_fraction(text: str) -> str:
    sides = text.split("/")
    if len(sides) == 2 and all("sqrt" in side or _INTEGER.fullmatch(side) for side in sides):
        return f"\\frac{{{sides[0]}}}{{{sides[1]}}}"
    return text
