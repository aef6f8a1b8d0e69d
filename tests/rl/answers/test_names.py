"""What is prose, what names a value."""

import pytest

from rl.answers.names import is_name, is_variable, is_words, plain_name, plain_words


@pytest.mark.parametrize("text", ["no solution", "odd", "x-intercept", "Évelyn"])
def test_words(text):
    assert is_words(text)


@pytest.mark.parametrize("text", ["", "xy", "pi", "2", "x or y", "Ann and Bob", "x+y", "ab-c"])
def test_no_words(text):
    assert not is_words(text)


def test_plain_words():
    assert plain_words("No  Solutions") == "no solution"
    assert plain_words("An Ellipse") == "ellipse"
    assert plain_words("a") == "a"
    assert plain_words("the") == "the"


def test_names():
    assert all(map(is_name, ["x", "f(x)", "(x,y)", "S_1:S", "m+n", "AB", r"\theta"]))
    assert not any(map(is_name, ["", "2x", "xy", r"\sin x", r"\frac{a}{b}", "x-y"]))
    assert all(map(is_variable, ["x", "x_1", "f(x)", r"\theta"]))
    assert not any(map(is_variable, ["", "2", "xy", "x+1"]))
    assert plain_name("x_{1}") == plain_name("x_1")
