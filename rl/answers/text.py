r"""One spelling for answers: LaTeX layout, units and Unicode signs removed or replaced.

What is dropped cannot tell two answers of one prompt apart, or practically never does: spacing,
sizes of brackets, dollar signs, fonts, thousands separators, and the unit after a value.
"""

import re
import unicodedata
from itertools import pairwise

from rl.answers.units import has_value, strip_units

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
        "∛": "\\sqrt[3] ",
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
        **{character: f"_{digit}" for digit, character in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    }
)
_LAYOUT = re.compile(
    r"(?P<newline>\\\\)|(?P<comma>\{\s*,\s*\})|(?P<colon>\{\s*:\s*\})|\\?[$\"]"
    r"|(?<=\d)\\,(?=\d{3}(?!\d))|(?P<space>\\[,;: ]|~|\\q?quad)"
    r"|\\[!()\[\]]|\\(?:left|right|[Bb]igg?[lr]?|displaystyle|textstyle)(?![A-Za-z])\.?"
    r"|(?P<open>\\langle(?![A-Za-z]))|(?P<close>\\rangle(?![A-Za-z]))"
    r"|\\(?:text)?color\s*\{[A-Za-z]*\}"
)
_SPELLINGS = {
    "newline": "\\\\",
    "comma": ",",
    "colon": ":",
    "space": " ",
    "open": "(",
    "close": ")",
}
# Outside environments a double backslash before a command comes from text that was escaped twice.
_TWICE_ESCAPED = re.compile(r"\\\\(?=[A-Za-z])")
_CONCLUDING_SIGN = re.compile(
    r"\s*(?:\\(?:therefore|implies|Rightarrow|Longrightarrow|rightarrow|to)(?![A-Za-z])|=(?!=))\s*"
)
_TIMES_TEN = re.compile(r"(?<=\d) ?[xX] ?(?=10 ?\^)")
# v^2_0 is v_0^2.
_SCRIPTS = re.compile(r"(?<=[A-Za-z])(\^(?:\{[^{}]*\}|\w))(_(?:\{[^{}]*\}|\w))")
_REPEATED_DIGIT = re.compile(
    r"(?<![\d.])(\d*\.\d{0,20}?)(\d)\2{2,20}(?:\.\.\.|\\[lc]?dots(?![A-Za-z]))"
)
_DOTTED_DIGITS = re.compile(r"\\dot\s*\{?(\d)\}?(?:(\d{0,20})\\dot\s*\{?(\d)\}?)?")
_HALF_OF_DAY = re.compile(r"(?<=\d)(?: +|(?<=:\d\d))([AaPp])\.? ?[Mm]$")
_REMARK = re.compile(
    r" ?\( ?(?:or )?(?:(?:about|approximately|approx|roughly)\b|\\approx)[^()]*\)$"
)
# The k of x = k\pi, k \in \mathbb{Z}.
_PARAMETER = re.compile(
    r"(?<=[^ ,;])[,;]? ?\(?(?:where |for )?(?:all |any )?[a-z] ?\\in ?\\mathbb ?"
    r"(?:Z|\{ ?Z ?\})\)?$"
)
_COLUMNS = re.compile(r"(?<=\\begin\{array\})\s*\{[lcr|\s]*\}")
_SIZED = re.compile(r"\\[dtc](frac|binom)(?![A-Za-z])")
_DEGREES = re.compile(r"\^\s*\{?\s*\\(?:circ|degree)(?![A-Za-z])\s*\}?|\\degree(?![A-Za-z])")
_FONT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|hbox"
    r"|operatorname\*?|boldsymbol|bm|boxed|fbox|underline)\s*\{([^{}\\]*)\}"
)
_CURRENCY = re.compile(r"^([-+]?)\s*(?:[€£¥]|Rs\.?(?= ?\d))\s*|\s*[€£¥¢]$")
# A comma that can only group digits or start decimals: 12{,}345 and 12,\!345; 1{,}5.
_TYPESET_COMMA = re.compile(r"\d+(?:\s*(?:\{\s*,\s*\}|,\s*\\!)\s*\d+)+")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_POINTED_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3}){2,}")
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
_COUNT = re.compile(
    r"[^\d=<>\\^{}.;!?]{0,100}\bthere (?:are|is|were|was|exists?|will be) "
    r"(?:exactly |only |a total of )?(\d[\d,]*)(?: [A-Za-z-]+)+",
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
    if "\\\\" in text and "\\begin" not in text:
        text = _TWICE_ESCAPED.sub(r"\\", text)
    text = _LAYOUT.sub(_replace_layout, text)
    text = _DEGREES.sub(r"^\\circ", _SIZED.sub(r"\\\1", _COLUMNS.sub("", text)))
    text = strip_units(_strip_ends(_spell_repeating_decimals(text)))
    if "\\" in text:
        text = _strip_fonts(text)
    text = _strip_ends(" ".join(text.split()))
    if "10" in text:
        text = _TIMES_TEN.sub(r" \\times ", text)
    if "_" in text:
        text = _SCRIPTS.sub(r"\2\1", text)
    if text.endswith(")"):
        text = _REMARK.sub("", text)
    if "\\in" in text:
        text = _PARAMETER.sub("", text) or text
    if sign := _CONCLUDING_SIGN.match(text):
        text = text[sign.end() :]
    if text[:1].isalpha():
        text = strip_introduction(text)
    if text.endswith(("m", "M")):
        text = _HALF_OF_DAY.sub(lambda match: f" {match[1].upper()}M", text)
    return _join_thousands(_CURRENCY.sub(r"\1", text))


def _strip_fonts(text: str) -> str:
    r"""Keep what fonts hold; they nest, as in `\textbf{\text{(B)}}`, and may hold a unit."""
    for number in range(4):
        text, count = _FONT.subn(r" \1 ", text)
        if not count:
            return strip_units(" ".join(text.split())) if number else text
    return text


def _spell_repeating_decimals(text: str) -> str:
    r"""Write `0.\dot{3}` and `0.333...` as `0.\overline{3}`; three equal digits make a period."""
    if "\\dot" in text:
        text = _DOTTED_DIGITS.sub(
            lambda match: rf"\overline{{{match[1]}{match[2] or ''}{match[3] or ''}}}", text
        )
    if "..." in text or "dots" in text:
        text = _REPEATED_DIGIT.sub(r"\1\\overline{\2}", text)
    return text


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
    if "." in text and _POINTED_THOUSANDS.fullmatch(text):
        return text.replace(".", "")
    if "," not in text or _LIST_BRACKET.search(text):
        return text
    joined = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    return text if re.search(r",(?! )", joined) else joined


def _replace_layout(match: re.Match[str]) -> str:
    return _SPELLINGS.get(match.lastgroup or "", "")


def _strip_ends(text: str) -> str:
    """Remove surrounding whitespace, Markdown emphasis and final punctuation."""
    text = text.strip(" *`")
    while text.endswith((".", ",", ";", ":", "\\")):
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
    if count := _COUNT.fullmatch(text):
        return count[1]
    value = _CONCLUSION.sub("", text[match.end() :])
    is_stated = has_value(re.sub(r"\b(?:and|or)\b", ",", strip_units(value)))
    return strip_units(value) if is_stated else text


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
