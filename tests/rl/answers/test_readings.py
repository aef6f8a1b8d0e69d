r"""What an answer stands for depends on the other answers of its prompt."""

import pytest

from rl.answers import cluster_answers, same_answer


@pytest.mark.parametrize("percent", [r"50\%", "50%", "50 percent", "50 pct", r"50\text{ percent}"])
def test_percent_means_a_hundredth_or_the_bare_number(percent):
    assert same_answer(percent, "0.5")
    assert same_answer("50", percent)
    assert not same_answer(percent, "5")
    # Never both at once: with 1/2 in the group, 50% is not 50.
    assert cluster_answers(["50", percent, r"\frac12", "50"]) == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("answer", "first", "second"),
    [
        ("1011_2", "1011", None),
        ("3:2", r"\frac{3}{2}", None),
        ("x=1, y=2", "(1,2)", "1, 2"),
        ("y=2; x=1", "(1,2)", "2, 1"),
        ("AB = 4, CD = 5", "(4,5)", r"4 \text{ and } 5"),
        (r"\frac{AB}{CD} = \frac{1}{2}", "0.5", None),
        ("xy = 6", "6", None),
        ("1,25", "1.25", None),
        ("0,125", "0.125", None),
        (r"\approx 3.14", "3.14", r"\pi"),
        ("about 0.33", "0.33", r"\frac{1}{3}"),
    ],
)
def test_an_answer_stands_for_the_more_literal_reading_that_occurs(answer, first, second):
    assert same_answer(answer, first)
    assert same_answer(first, answer)
    if second is not None:
        assert same_answer(second, answer)
        assert cluster_answers([second, first, answer]) == [0, 1, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x=1, y=2", "(2,1)"),
        ("x=1, y=2", "x=2, y=1"),
        ("x=1, y=1", "1"),
        ("3:2", r"\frac{2}{3}"),
        ("10:05", "2"),
        ("2x = 6", "6"),
        ("0,5", "0.5"),  # the roots 0 and 5
        ("1, 25", "1.25"),
        ("1,250", "1.25"),
        (r"\approx 3.14", "3.146"),
        ("3.14", r"\pi"),  # does not say that it is rounded
        ("0.33", r"\frac{1}{3}"),
        (r"\begin{pmatrix} 0.33 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1/3 \\ 2 \end{pmatrix}"),
    ],
)
def test_no_reading_merges_what_is_different(left, right):
    assert not same_answer(left, right)
    assert not same_answer(right, left)


def test_two_answers_that_stand_for_the_same_one_stay_apart():
    # "1, 2" may be either pair; the pair with more votes keeps it, at equal votes the first.
    assert cluster_answers(["x=1, y=2", "1, 2", "x=2, y=1"]) == [0, 0, 1]
    assert cluster_answers(["x=1, y=2", "1, 2", "x=2, y=1", "x=2, y=1"]) == [0, 1, 1, 1]
    # 0.5 is what 50% says, and only loosely what 0.5% says.
    assert cluster_answers(["0.5%", "50%", "0.5"]) == [0, 1, 1]


def test_a_comma_with_a_space_makes_it_a_list():
    assert cluster_answers(["1,25", "1, 25", "1.25"]) == [0, 0, 1]


def test_a_rounded_value_of_two_candidates_stands_for_neither():
    assert cluster_answers([r"\approx 1.4", r"\sqrt{2}", "1.41"]) == [0, 1, 2]
