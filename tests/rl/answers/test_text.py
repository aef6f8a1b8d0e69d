"""Cleaning keeps the value and drops the layout."""

import pytest

from rl.answers.text import (
    clean_answer,
    outer_brackets,
    split_top_level,
    strip_introduction,
    strip_units,
)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        ("  $5$. ", "5"),
        (r"\left( 1,\; 2 \right)", "( 1, 2 )"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        ("1,234,567.5", "1234567.5"),
        ("1,23", "1,23"),
        ("0,111", "0,111"),
        (r"11,\! 222", "11222"),
        (r"1{,}5", "1.5"),
        (r"(1,\,200)", "(1, 200)"),
        ("12,5,200", "12,5,200"),
        ("1,200, 3,400", "1200, 3400"),
        ("−½", r"-\frac{1}{2}"),  # noqa: RUF001
        ("x²", "x^2"),
        (r"\text{\textbf{(B)}}", "(B)"),
        (r"**12**", "12"),
        (r"\$1,000", "1000"),
        ("-€5", "-5"),
        (r"76^{\circ}\text{F}", r"76^\circ"),
        ("5\u202e\x00", "5"),
        (r"a \\ b", r"a \\ b"),
        (r"\leftarrow", r"\leftarrow"),
    ],
)
def test_clean_answer(text, cleaned):
    assert clean_answer(text) == cleaned
    assert clean_answer(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"5\text{ cm}^2", "5"),
        ("12 square feet", "12"),
        ("3 km/h", "3"),
        ("60 miles per hour", "60"),
        ("7cm^2", "7"),
        (r"(5\text{ m}, 3\text{ m})", "(5, 3)"),
        (r"\pi\text{ radians}", r"\pi"),
        ("3 PM", "3 PM"),
        ("5 million", "5 million"),
        ("5 miles north", "5 miles north"),
        ("4 xy", "4 xy"),
        (r"3+2\mathrm{i}", r"3+2\mathrm{i}"),
        (r"\text{cm}", r"\text{cm}"),
        ("square feet", "square feet"),
        (r"1 \text{ or } 2", r"1 \text{ or } 2"),
    ],
)
def test_strip_units(text, value):
    assert strip_units(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The largest n is 34", "34"),
        ("So, x = 5", "x = 5"),
        ("Special matrix: 12", "12"),
        ("There are 12 distinct paths", "12"),
        ("The roots are 2 and 3", "2 and 3"),
        ("The sum of 3 and 4 is 7", "The sum of 3 and 4 is 7"),
        ("The winner is Ann", "The winner is Ann"),
        ("Tom is 5", "Tom is 5"),
        ("Tom: 5", "Tom: 5"),
        ("", ""),
    ],
)
def test_strip_introduction(text, value):
    assert strip_introduction(text) == value


def test_split_at_the_top_level_only():
    assert split_top_level("1, 2;3", ",;") == ["1", "2", "3"]
    assert split_top_level("(1,2),{3,4},5", ",") == ["(1,2)", "{3,4}", "5"]
    assert split_top_level(r"\{1,2\}", ",") == [r"\{1,2\}"]
    assert split_top_level(r"\begin{matrix}1,2\end{matrix},3", ",") == [
        r"\begin{matrix}1,2\end{matrix}",
        "3",
    ]
    assert split_top_level("", ",") == [""]


def test_outer_brackets():
    assert outer_brackets("(1,2)") == ("(", "1,2", ")")
    assert outer_brackets("(0,1]") == ("(", "0,1", "]")
    assert outer_brackets(r"\{1,2\}") == (r"\{", "1,2", r"\}")
    assert outer_brackets("(1)(2)") is None
    assert outer_brackets("1") is None
    assert outer_brackets("(1") is None
    assert outer_brackets("") is None
