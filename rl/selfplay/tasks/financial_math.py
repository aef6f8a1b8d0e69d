r"""Arithmetic over tables and text of reports, answered with one number.

Numbers are read by a regular expression and `float`, never evaluated: `9^9^9` is no number.

Source: SPELL, arXiv 2509.23863, financial QA; its checks follow DocMath-Eval. Reference code:
    Tongyi-Zhiwen/Qwen-Doc, SPELL/verl/verl/utils/reward_score/docmath.py.
Differs: the code compares magnitudes in most of its rules, here signs have to agree, and brackets
    mean a minus; numbers below 0.001 are not equal for being rounded up to it; scale words count
    (1.2 million is 1,200,000), where the code drops them; products, quotients and sums, which the
    code evaluates in a box and cuts off elsewhere (1/2 is 1), are no number.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import NonNegativeFloat

from rl.answers import extract_answer
from rl.selfplay.tasks.task import PlainTask, read_final_answer
from rl.settings import checked

_RESCALES = (100.0, 1e3, 1e6, 1e9)
_MAX_CHARACTERS = 200
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_LATEX = re.compile(r"\\(?:text|math)[a-z]*[ ]*\{([^{}]*)\}")
_SEPARATOR = re.compile(r"\\[,;:! ]|\{,\}(?=\d)|\*\*|`")
_EQUALS = re.compile(r"=|≈|\\approx")
_ABOUT = re.compile(r"(?i:approximately|approx\.?|about|around|roughly|nearly|~)[ ]*")
_NUMBER = re.compile(
    r"(?P<open>\()?(?P<sign>[-+\u2212]?)[ ]?(?:[$€£¥]|[A-Z]{2,3}[ ]?[$€£¥]?)?"
    r"[ ]?(?P<minus>-?)"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3}){1,9}|\d{1,30})(?:\.\d{1,30})?|\.\d{1,30})"
    r"(?P<exponent>[eE][-+]?\d{1,2}(?!\d))?"
    r"(?:[ ]?(?:[*x\u00d7]|times)[ ]?10\^\{?(?P<power>[-+]?\d{1,2})(?!\d)\}?)?"
    r"(?(open)\))(?P<scales>(?:[ -]?(?:hundred|thousand|million|billion|trillion)s?\b){0,3})"
)
# What makes a longer number or an expression of the one before it.
_GOES_ON = re.compile(r"[\d^]|[.,]\d|[eE][-+]?\d|[ ]?(?:[-+*/x\u00d7:\u00f7]|times|div)[ ]?[\d(]")


def read_number(text: str) -> float | None:
    r"""Read the number a text starts with, whatever is said after it.

    Before it may stand a sign, a currency, a word such as "about" or what it is equal to; after it
    a percent sign, a scale word, a unit, a remark. A percentage keeps its value: "12.5%" is 12.5.
    Brackets around it mean a minus. LaTeX's escapes do not matter. Expressions are no number.

    Example:
        >>> [read_number(text) for text in (r"\$1,234.5 million", "(3.2)%", "9^9^9", "1/2")]
        [1234500000.0, -3.2, None, None]
        >>> read_number(r"12.5\%"), read_number("x = 12.5 (rounded)"), read_number("seven")
        (12.5, 12.5, None)
    """
    text = _EQUALS.split(text.strip()[:_MAX_CHARACTERS])[-1]
    text = _SEPARATOR.sub("", _LATEX.sub(r"\1", text)).replace("\\", "")
    text = " ".join(text.split()).strip(" $")
    about = _ABOUT.match(text)
    match = _NUMBER.match(text, about.end() if about else 0)
    if match is None or _GOES_ON.match(text, match.end()):
        return None
    value = float(match["digits"].replace(",", "") + (match["exponent"] or ""))
    value *= 10.0 ** int(match["power"] or 0)
    for word in re.findall(r"[a-z]+", match["scales"]):
        value *= _SCALES[word.removesuffix("s")]
    is_negative = bool(match["open"]) or match["sign"] in ("-", "\u2212") or bool(match["minus"])
    return -value if is_negative else value


def same_number(ours: float, theirs: float, tolerance: float = 0.0015) -> bool:
    """Tell whether two numbers are equal up to tolerance, scale or rounding.

    |a - b| <= tolerance |b|, or so after multiplying one of them with 100, 1e3, 1e6 or 1e9, or
    their magnitudes are equal when rounded up to three decimals, unless that leaves 0.001 of both.
    Signs have to agree. Symmetric up to the tolerance.

    Args:
        ours: The answer.
        theirs: The reference b; zero equals nothing but zero.
        tolerance: Relative.

    Example:
        >>> same_number(12.51, 12.5), same_number(0.125, 12.5), same_number(13.0, 12.5)
        (True, True, False)
    """
    if not (math.isfinite(ours) and math.isfinite(theirs)):
        return False
    pairs = [(ours, theirs)]
    pairs += [(ours * scale, theirs) for scale in _RESCALES]
    pairs += [(ours, theirs * scale) for scale in _RESCALES]
    # 100.15 is 0.15 % from 100, whatever binary fractions make of it.
    if any(abs(a - b) <= tolerance * abs(b) * (1 + 1e-9) for a, b in pairs):
        return True
    # A billionth keeps binary fractions from being rounded up: 1.001 is 1.001.
    up = [math.ceil(abs(value) * 1000 - 1e-9) for value in (ours, theirs)]
    return ours * theirs > 0 and up[0] == up[1] > 1


@checked
@dataclass(frozen=True, kw_only=True)
class FinancialMath(PlainTask):
    """Questions whose answer is a single number other than zero.

    Attributes:
        tolerance: Relative difference up to which numbers are equal, at least 0.
    """

    tolerance: NonNegativeFloat = 0.0015
    name: str = field(default="financial_math", init=False)
    chance: float = field(default=0.0, init=False)

    def is_usable(self, answer: str, count_tokens: Callable[[str], int]) -> bool:
        """A number other than zero."""
        return bool(read_number(answer))

    def read_answer(self, text: str) -> str | None:
        """The last box, or what follows the last "answer is"."""
        return extract_answer(text, methods=("boxed",)) or read_final_answer(text)

    def rule_check(self, answer: str, reference: str) -> float:
        """1.0 if both are numbers and the same by `same_number`.

        Example:
            >>> FinancialMath().rule_check("$1.2 million", "1,200,000")
            1.0
        """
        ours, theirs = read_number(answer), read_number(reference)
        if ours is None or theirs is None:
            return 0.0
        return float(same_number(ours, theirs, self.tolerance))
