"""Exact values, values at points, and text that is not an expression."""

import math
from fractions import Fraction

import pytest

from rl.answers import expressions
from rl.answers.expressions import evaluate_expression, fingerprint
from rl.answers.grammar import CONSTANTS, FUNCTIONS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-7", -7),
        ("--7", 7),
        (".25", Fraction(1, 4)),
        ("2+3*4", 14),
        ("2-3-4", -5),
        ("12/3/2", 2),
        ("2^10", 1024),
        ("2^{-1}", Fraction(1, 2)),
        ("2^3^2", 512),  # right to left: 2^(3^2)
        ("-2^2", -4),
        ("(1+2)(3+4)", 21),
        (r"3\frac{1}{2}", Fraction(7, 2)),  # mixed number
        (r"3\cdot\frac{1}{2}", Fraction(3, 2)),
        (r"3\frac{5}{2}", Fraction(15, 2)),  # not a proper fraction: a product
        (r"\frac12", Fraction(1, 2)),
        (r"\frac 59", Fraction(5, 9)),
        (r"\frac1{20}", Fraction(1, 20)),
        (r"\binom{5}{2}", 10),
        ("5!", 120),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"\sqrt{16}", 4),
        (r"\sqrt[3]{-8}", -2),
        ("8^{1/3}", 2),
        (r"\sin 30^\circ", Fraction(1, 2)),
        (r"\cos(\pi)", -1),
        (r"30^\circ", 30),
        (r"\log_2 8", 3),
        (r"\log 1000", 3),
        (r"\ln e^2", 2),
        (r"e^{i\pi}", -1),
        (r"\sin^2 x+\cos^2 x", 1),
        ("x-x", 0),
    ],
)
def test_constant_with_a_simple_value_is_exact(text, value):
    values = evaluate_expression(text)
    assert values is not None
    assert fingerprint(values) == (Fraction(value),)


def test_every_name_of_the_grammar_has_a_value():
    assert set(expressions._FUNCTIONS) == FUNCTIONS
    assert set(expressions._CONSTANTS) == CONSTANTS


def test_printed_floats_are_what_they_round():
    # 0.1 + 0.2 in floating point; 1e-16 away from 3/10.
    assert evaluate_expression("0.30000000000000004") == (Fraction(3, 10),)
    assert evaluate_expression("0.33333333") == (Fraction(33333333, 10**8),)


def test_irrational_constants_stay_apart_from_their_decimals():
    assert fingerprint(evaluate_expression(r"\sqrt2") or ()) == ("1.414213562e+00 0.000000000e+00",)
    (value,) = evaluate_expression(r"\frac{\pi}{4}") or ()
    assert not isinstance(value, Fraction)
    assert abs(value - math.pi / 4) < 1e-12
    assert evaluate_expression("1.41421356") == (Fraction("1.41421356"),)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(x+1)^2", "x^2+2x+1"),
        (r"\sqrt{x^2}", "x"),  # variables are positive
        (r"\ln(ab)", r"\ln a+\ln b"),
        ("a_1+a_{12}", "a_{12}+a_1"),
        (r"\sin 2x", r"2\sin x\cos x"),
        (r"\tan^{-1} x", r"\arctan x"),
        (r"\frac{1}{2x}", "x^{-1}/2"),
        ("1/2x", "x/2"),
    ],
)
def test_equal_expressions_have_equal_fingerprints(left, right):
    values, others = evaluate_expression(left), evaluate_expression(right)
    assert values is not None
    assert others is not None
    assert fingerprint(values) == fingerprint(others)


@pytest.mark.parametrize(
    ("left", "right"),
    [("x", "y"), ("x_1", "x_2"), ("x+1", "x-1"), ("xy", "x+y"), (r"\sin x", r"\cos x"), ("r", "R")],
)
def test_different_expressions_have_different_fingerprints(left, right):
    values, others = evaluate_expression(left), evaluate_expression(right)
    assert values is not None
    assert others is not None
    assert fingerprint(values) != fingerprint(others)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "(1",
        "1)",
        "2 3",
        "1.2.3",
        "3+",
        "hello",
        "__import__('os')",
        "x;y",
        r"\frac{1}{0}",
        r"\ln 0",
        r"\infty",
        "171!",
        "2.5!",
        "9^{9^{9}}",
        "10^{10^{10}}",
        "2^{1000000000/3}",
        "1.5^{1000000}",
        r"\binom{5000}{500}",
        r"\frac{1",
        r"\sqrt",
        "x_",
        r"0.\overline{x}",
        "(" * 100 + "1" + ")" * 100,
        "1" * 301,
        "\ud800",
        "\x00",
    ],
)
def test_not_covered(text):
    assert evaluate_expression(text) is None


def test_longest_chains_stay_within_the_recursion_limit():
    # 300 characters at most: 150 ones with 149 signs between them.
    assert evaluate_expression("+".join("1" * 150)) == (Fraction(150),)
    assert evaluate_expression("^".join("1" * 150)) == (Fraction(1),)
    assert evaluate_expression("-" * 299 + "1") == (Fraction(-1),)
    assert evaluate_expression("1" + "!" * 299) == (Fraction(1),)
    assert evaluate_expression(r"\sqrt" * 59 + "1") == (Fraction(1),)
