"""DocMath-Eval's numbers: how one is read from an answer, and which are the same.

Source: DocMath-Eval, arXiv 2311.09805, reference code yale-nlp/DocMath-Eval,
    utils/evaluation_utils.py; QwenLong-L1 and SPELL evaluate with the same rule. Percentages keep
    their value and scale words are dropped: "12.5%" is 12.5, "1.2 million" is 1.2.
Differs: the code evaluates what it finds as Python, here a number is read by
    `rl.selfplay.tasks.financial_math.read_number`, so products and quotients are none; what is no
    number is no answer, where the code takes it for 0; the code asks a language model for the
    number, here it stands in the last box or after the last "answer is", as in SPELL.
"""

import math
import re

from rl.answers import extract_answer
from rl.selfplay.tasks.financial_math import read_number
from rl.selfplay.tasks.task import read_final_answer

TOLERANCE = 0.0015
# A magnitude times a scale counts as the other one if it is less than the other one's share.
_RESCALES = ((100, 50), (1000, 500), (100_000, 50_000))
_SCALE_WORD = re.compile(r"\b(?:hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)


def read_docmath_answer(text: str) -> str | None:
    r"""Find an answer: the last box or what follows the last "answer is"; None if it is no number.

    Example:
        >>> read_docmath_answer("Therefore, the answer is 1.2 million."), read_docmath_answer("12")
        ('1.2 million', None)
    """
    answer = extract_answer(text, methods=("boxed",)) or read_final_answer(text)
    return None if answer is None or read_docmath_number(answer) is None else answer


def read_docmath_number(answer: str) -> float | None:
    """Read the number an answer starts with; None if it is none.

    Example:
        >>> [read_docmath_number(text) for text in ("$1.2 million", "(3.2)%", "9^9", "seven")]
        [1.2, -3.2, None, None]
    """
    return read_number(_SCALE_WORD.sub("", answer))


def same_docmath_number(ours: float, theirs: float) -> bool:
    """Tell whether an answer is right by DocMath-Eval's rule.

    Any of these: |a - b| <= 0.0015 |b|; the magnitudes differ by a power of ten exactly, or not at
    all (so signs do not matter); the smaller magnitude times 100, 1000 or 100,000 is within 0.15%
    of the larger one; the magnitudes are equal when rounded up to three decimals (so all of at most
    0.001 are, except 0).

    Args:
        ours: The answer a.
        theirs: The reference b.

    Example:
        >>> same_docmath_number(12.51, 12.5), same_docmath_number(-12.5, 12.5)
        (True, True)
        >>> same_docmath_number(0.1251, 12.5), same_docmath_number(13.0, 12.5)
        (True, False)
    """
    slack = TOLERANCE * abs(theirs)
    if theirs - slack <= ours <= theirs + slack:
        return True
    small, large = sorted((abs(ours), abs(theirs)))
    if small and math.isfinite(large / small) and math.log10(large / small).is_integer():
        return True
    if any(
        small <= large / least
        and large - TOLERANCE * large <= small * scale <= large + TOLERANCE * large
        for scale, least in _RESCALES
    ):
        return True
    return math.ceil(small * 1000) == math.ceil(large * 1000)
