"""The kinds of keys; which answers share one is tested as a table in test_clusters.py."""

from fractions import Fraction

import pytest

from rl.answers.keys import AnswerKey, answer_key, approximate_value

ONE, TWO, HALF, ZERO = (AnswerKey("number", Fraction(value)) for value in (1, 2, "1/2", 0))
MINUS, PLUS = AnswerKey("infinity", "-"), AnswerKey("infinity", "+")
BELOW, ABOVE = AnswerKey("()", (MINUS, ONE)), AnswerKey("()", (TWO, PLUS))


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("1", ONE),
        ("001", ONE),
        ("x=1", ONE),
        ("1+1=2", TWO),
        (r"50\%", AnswerKey("percent", Fraction(50))),
        ("12_5", AnswerKey("based", (12, 5))),
        (r"-\infty", AnswerKey("infinity", "-")),
        ("East", AnswerKey("word", "east")),
        ("1,2", AnswerKey("set", frozenset({ONE, TWO}))),
        ("1, 1", ONE),
        ("y=2, x_{1}=1", AnswerKey("named", (("x_1", ONE), ("y", TWO)))),
        ("x=1, x=2", AnswerKey("set", frozenset({ONE, TWO}))),
        ("1:2", AnswerKey("ratio", (HALF, ONE))),
        ("1:02", AnswerKey("ratio", (ONE, TWO))),
        (r"\approx 0.50", AnswerKey("rounded", (Fraction(1, 2), 2))),
        (r"x = 1 \approx 1.0", ONE),
        (r"\emptyset", AnswerKey("set", frozenset())),
        ("(1,2]", AnswerKey("(]", (ONE, TWO))),
        ("1<x<2", AnswerKey("()", (ONE, TWO))),
        ("2>x>1", AnswerKey("()", (ONE, TWO))),
        (r"x \ge 1", AnswerKey("[)", (ONE, AnswerKey("infinity", "+")))),
        (r"\begin{pmatrix}1\\2\\\end{pmatrix}", AnswerKey("matrix", ((ONE,), (TWO,)))),
        ("|x|", AnswerKey("raw", "|x|")),
        (r"1 \pm 1", AnswerKey("set", frozenset({ZERO, TWO}))),
        ("1 hour and 2 minutes", AnswerKey("raw", "1hourand2minutes")),
        ("1 hour, 2 hours", AnswerKey("set", frozenset({ONE, TWO}))),
        ("x>1, x<2", AnswerKey("()", (ONE, TWO))),
        ("x>2 and x<1", AnswerKey("union", frozenset({BELOW, ABOVE}))),
        (
            "x>1 or x<2",
            AnswerKey(
                "union", frozenset({AnswerKey("()", (MINUS, TWO)), AnswerKey("()", (ONE, PLUS))})
            ),
        ),
        (r"\{x \mid x\}", AnswerKey("raw", r"\{x\midx\}")),
        (r"\{1,2\} = \{2,1\}", AnswerKey("set", frozenset({ONE, TWO}))),
        (r"\{1\} \cup [1,2]", AnswerKey("union", frozenset({ONE, AnswerKey("[]", (ONE, TWO))}))),
        ("1<2", AnswerKey("raw", "1<2")),
        ("1<x>2", AnswerKey("raw", "1<x>2")),
        ("", AnswerKey("raw", "")),
    ],
)
def test_kinds(answer, key):
    assert answer_key(answer) == key


def test_approximate_value():
    assert approximate_value(TWO) == 2
    assert abs((approximate_value(answer_key(r"\pi")) or 0) - 3.141592654) < 1e-9
    assert approximate_value(answer_key("x+1")) is None
    assert approximate_value(answer_key("east")) is None
    assert approximate_value(answer_key("10^{400}")) is None


def test_long_answers_are_their_own_class():
    assert answer_key("1+" * 1_001 + "1").kind == "raw"
    assert answer_key(",".join("1" * 65)).kind == "raw"
