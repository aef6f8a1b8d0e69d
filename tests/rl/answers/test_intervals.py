"""Inequalities and intervals as text; which are the same answer is tested in test_clusters.py."""

import pytest

from rl.answers.intervals import hole_of, interval_of, set_condition, usual_brackets


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("x<2", ("()", r"-\infty", "2", "x")),
        (r"2 \le x", ("[)", "2", r"\infty", "x")),
        (r"1 < f(x) \leq 2", ("(]", "1", "2", "f(x)")),
        ("2 >= x_1 > 1", ("(]", "1", "2", "x_1")),
        ("1<x>2", None),
        ("1<2", None),
        ("1<2x<4", None),
        ("x", None),
        ("", None),
        ("a<b<c<d", None),
    ],
)
def test_interval_of(text, interval):
    assert interval_of(text) == interval


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("]0,1]", "(0,1]"),
        ("[0,1[", "[0,1)"),
        ("]0,1[", "(0,1)"),
        ("[0,1]", None),
        ("]]0,1[", None),
        ("", None),
    ],
)
def test_usual_brackets(text, usual):
    assert usual_brackets(text) == usual


def test_hole_of():
    assert hole_of(r"x \ne 3") == hole_of("x != 3") == hole_of(r"x \not= 3") == "3"
    assert hole_of(r"3 \ne x") is None
    assert hole_of(r"x \ne 3, x \ne 4") is None


def test_set_condition():
    assert set_condition(r"x \mid x>1") == set_condition("x : x>1") == "x>1"
    assert set_condition(r"x \in \mathbb{R} | x>1") == "x>1"
    assert set_condition("1, 2") is None
    assert set_condition("|x|") is None
