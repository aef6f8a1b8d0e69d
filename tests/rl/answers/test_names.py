"""What is prose, what names a value."""

import pytest

from rl.answers.names import is_name, is_variable, is_words, plain_name, plain_words, split_answers


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


def test_split_answers():
    assert split_answers("1, 2; 3 and 4 or (5, 6)") == ["1", "2", "3", "4", "(5, 6)"]
    assert split_answers(r"x=1 \lor x=2") == ["x=1", "x=2"]
    assert split_answers(r"x>1 \land x<2") == ["x>1", "x<2"]
    assert split_answers(r"p \lor q") == [r"p \lor q"]
    assert split_answers("1,") == ["1"]
    assert split_answers("") == [""]
