"""DocMath-Eval's rule on numbers derived by hand."""

import pytest

from rl.evaluation.metrics.docmath import (
    read_docmath_answer,
    read_docmath_number,
    same_docmath_number,
)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (0.0, 0.0, True),
        (0.0, 5.0, False),
        (5.0, 0.0, False),
        (0.0, 0.0004, False),  # rounded up to three decimals: 0 and 0.001
        (0.0001, 0.0009, True),  # both are 0.001
        (0.0011, 0.0009, False),  # 0.002 and 0.001; 22% apart
        # |a - b| <= 0.0015 * 200 = 0.3
        (200.3, 200.0, True),
        (199.7, 200.0, True),
        (200.4, 200.0, False),
        # Powers of ten and signs do not matter, if exact.
        (-31.0, 31.0, True),
        (3.1, 31_000_000.0, True),
        (3.11, 31_000_000.0, False),
        # Times 100 (percent): 0.1251 * 100 = 12.51, 0.08% from 12.5. Either may be the smaller.
        (0.1251, 12.5, True),
        (12.51, 0.125, True),
        (0.126, 12.5, False),
        # Times 1000 and 100,000, not 10 or a million: 1.2001, 0.008% off.
        (1.2001, 1200.0, True),
        (1.2001, 120_000.0, True),
        (1.2001, 12.0, False),
        (1.2001, 1_200_000.0, False),
        # 1.2341 and 1.2349 both are 1.235 when rounded up, 0.06% apart anyway; 0.0101 and 0.0109
        # are 0.011, 7% apart.
        (0.0101, 0.0109, True),
        (1e200, 1e-200, False),
    ],
)
def test_the_same_number(ours, theirs, same):
    assert same_docmath_number(ours, theirs) is same


@pytest.mark.parametrize(
    ("text", "answer", "number"),
    [
        ("", None, None),
        ("It is 12.", None, None),
        ("Therefore, the answer is unknown.", None, None),
        ("Therefore, the answer is (-31.0).", "(-31.0)", -31.0),
        ("Therefore, the answer is **$1,234.5 million**.", "1,234.5 million", 1234.5),
        (r"\boxed{12.5\%}", r"12.5\%", 12.5),
        ("the answer is 3 or so. No: the answer is 1.2 Billions", "1.2 Billions", 1.2),
        ("<think>the answer is 1</think>So the answer is 2.", "2", 2.0),
        # Never evaluated.
        ("the answer is 9^9^9^9", None, None),
        ("the answer is __import__('os')", None, None),
    ],
)
def test_a_number_is_read_not_evaluated(text, answer, number):
    assert read_docmath_answer(text) == answer
    assert answer is None or read_docmath_number(answer) == number
