"""Trees of the grammar; what they evaluate to is tested in test_expressions.py."""

from fractions import Fraction

import pytest

from rl.answers.grammar import UnparsableError, is_float_printout, parse_expression

ONE, TWO = Fraction(1), Fraction(2)


@pytest.mark.parametrize(
    ("text", "tree", "names"),
    [
        ("2", TWO, set()),
        ("-x", ("neg", "x"), {"x"}),
        ("x-1-2", ("-", ("-", "x", ONE), TWO), {"x"}),
        ("x/2y", ("*", ("/", "x", TWO), "y"), {"x", "y"}),
        (r"x_{12}\alpha", ("*", "x_12", "alpha"), {"x_12", "alpha"}),
        (r"\sin 2x+1", ("+", ("call", "sin", ("*", TWO, "x")), ONE), {"x"}),
        (r"\log_2 x", ("log", "x", TWO), {"x"}),
        (r"\sqrt[n]2", ("root", TWO, "n"), {"n"}),
        ("2e3", Fraction(2000), set()),
        ("1.5E-2", Fraction(3, 200), set()),
        ("1e-05", Fraction(1, 100_000), set()),
        ("2e-1", ("-", ("*", TWO, ("constant", "e")), ONE), set()),
        ("2e^3", ("*", TWO, ("^", ("constant", "e"), Fraction(3))), set()),
        ("x**2", ("^", "x", TWO), {"x"}),
    ],
)
def test_trees(text, tree, names):
    assert parse_expression(text) == (tree, names)


@pytest.mark.parametrize("text", ["", "x_", "x_{", "x_{}", "x_{+}", "2 3", "(", r"\foo", "prose"])
def test_errors(text):
    with pytest.raises(UnparsableError):
        parse_expression(text)


def test_limits():
    # 28 groups inside the outer sum are within a depth of 30, 30 are not.
    assert parse_expression("(" * 28 + "1" + ")" * 28) == (ONE, set())
    with pytest.raises(UnparsableError):
        parse_expression("(" * 30 + "1" + ")" * 30)
    with pytest.raises(UnparsableError):
        parse_expression("1" * 301)
    with pytest.raises(UnparsableError):
        parse_expression("1e9999")


def test_float_printout():
    assert is_float_printout("3.632712640026804")
    assert not is_float_printout("0.00000000000015")  # two digits
    assert not is_float_printout("1234567890123456")  # an integer
    assert not is_float_printout("12.5000000000000000")
