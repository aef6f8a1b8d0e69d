"""Arithmetic over tables and text of reports, answered with one number.

Numbers are read by a regular expression and `float`, never evaluated: `9^9^9` is no number.

Source: SPELL, arXiv 2509.23863, financial QA; its checks follow DocMath-Eval. Reference code:
    Tongyi-Zhiwen/Qwen-Doc.
Differs: signs have to agree, and numbers that round to zero are not equal for that.
"""

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from rl.selfplay.proposals import (
    BAD_FORMAT,
    UNUSABLE_ANSWER,
    Proposal,
    Rejected,
    last_json_object,
    text_field,
)
from rl.selfplay.tasks import PlainTask, read_final_answer

_RESCALES = (100.0, 1e3, 1e6, 1e9)
_MAX_CHARACTERS = 60
_NUMBER = re.compile(
    r"(?P<open>\()?(?P<sign>[-+\u2212]?)[ ]?(?P<before>[$€£¥]|[A-Z]{2,3}\$?)?[ ]?(?P<minus>-?)"
    r"(?P<digits>\d{1,30}|\d{1,3}(?:,\d{3}){1,9})(?P<decimals>\.\d{1,30})?"
    r"(?P<exponent>[eE][-+]?\d{1,2})?(?P<close>\))?[ ]?(?P<percent>%?)"
    r"(?:[ ]?[A-Za-z$€£¥/.%]{1,30}(?:[ ][A-Za-z$€£¥/.%]{1,30}){0,3})?"
)
_WORDS = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}


def read_number(text: str) -> float | None:
    """Read one number with an optional currency, unit, percent sign or scale word.

    A percentage keeps its value: "12.5%" is 12.5. Brackets around it mean a minus. Expressions,
    several numbers and text around them are no number.

    Example:
        >>> [read_number(text) for text in ("$1,234.5 million", "(3.2)%", "9^9^9", "1/2")]
        [1234500000.0, -3.2, None, None]
    """
    text = text.strip().removesuffix(".").strip()
    match = _NUMBER.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    digits = match["digits"].replace(",", "") + (match["decimals"] or "")
    value = float(digits + (match["exponent"] or ""))
    words = re.findall(r"[a-z]+", text.casefold())
    for word, scale in _WORDS.items():
        if word in words:
            value *= scale
    is_negative = bool(match["open"]) or match["sign"] in ("-", "\u2212") or bool(match["minus"])
    return -value if is_negative else value


def same_number(ours: float, theirs: float, tolerance: float = 0.0015) -> bool:
    """Tell whether two numbers are equal up to tolerance, scale or rounding.

    |a - b| <= tolerance |b|, or so after multiplying one of them with 100, 1e3, 1e6 or 1e9, or
    both are equal when rounded to three decimals, and not zero then. Symmetric up to the tolerance.

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
    return round(ours, 3) == round(theirs, 3) != 0


@dataclass(frozen=True, kw_only=True)
class FinancialMath(PlainTask):
    """Questions whose answer is a single number other than zero.

    Attributes:
        tolerance: Relative difference up to which numbers are equal, at least 0.
    """

    tolerance: float = 0.0015
    name: str = "financial_math"
    chance: float = 0.0

    def read_proposal(
        self, text: str, rng: random.Random, count_tokens: Callable[[str], int]
    ) -> Proposal | Rejected:
        """Read `{"question": text, "answer": number}`; no number, or zero, is dropped."""
        found = last_json_object(text) or {}
        question, answer = text_field(found, "question"), text_field(found, "answer")
        if question is None or answer is None:
            return BAD_FORMAT
        return (
            Proposal(question=question, answer=answer) if read_number(answer) else UNUSABLE_ANSWER
        )

    def read_answer(self, text: str) -> str | None:
        """What follows the last "answer is"."""
        return read_final_answer(text)

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
