"""Cleaning keeps the value and drops the layout."""

import pytest

from rl.answers.text import (
    clean_answer,
    outer_brackets,
    split_top_level,
    strip_introduction,
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
        (r"\\frac{1}{2}", r"\frac{1}{2}"),  # escaped twice
        (r"\begin{cases} 1 \\x \end{cases}", r"\begin{cases} 1 \\x \end{cases}"),
        ("1.234.567", "1234567"),
        ("1.234", "1.234"),
        ("0.1666...", r"0.1\overline{6}"),
        ("3.14...", "3.14"),
        (r"0.\dot{1}4\dot{2}", r"0.\overline{142}"),
        ("x^2_0", "x_0^2"),
        ("3 x 10^4", r"3 \times 10^4"),
        ("5 pm", "5 PM"),
        (r"\text{12 cm}", "12"),
        (r"\frac{3}{2} (\approx 1.5)", r"\frac{3}{2}"),
        ("f(x) (about 5", "f(x) (about 5"),
        (r"k\pi, k \in \mathbb{Z}", r"k\pi"),
        (r"k \in \mathbb{Z}", r"k \in \mathbb{Z}"),
    ],
)
def test_clean_answer(text, cleaned):
    assert clean_answer(text) == cleaned
    assert clean_answer(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The largest n is 34", "34"),
        ("So, x = 5", "x = 5"),
        ("Special matrix: 12", "12"),
        ("There are 12 distinct paths", "12"),
        ("Therefore, there are 1,200 sets that meet the conditions", "1,200"),
        ("There are 12 or 13 paths", "There are 12 or 13 paths"),
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
