"""Units go, words that carry meaning stay."""

import pytest

from rl.answers.units import has_value, strip_units, unit_of


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
        (r"5\text{ m}\cdot\text{s}^{-2}", "5"),
        (r"5 \mu\text{m}", "5"),
        (r"5\frac{\text{m}}{\text{s}}", "5"),
        (r"5\text{ m}\text{ north}", r"5\text{ m}\text{ north}"),
        (r"5\text{ cats}, 3\text{ dogs}", r"5\text{ cats}, 3\text{ dogs}"),
        (r"5\text{ cats}, 1\text{ cat}", "5, 1"),
        (r"x = 5\text{ m}, t = 3\text{ s}", "x = 5, t = 3"),
        ("5th", "5"),
        (r"5^{th}", "5"),
        (r"30^\circ C", r"30^\circ"),
        (r"5 \Omega", "5"),
        ("square feet", "square feet"),
        (r"1 \text{ or } 2", r"1 \text{ or } 2"),
    ],
)
def test_strip_units(text, value):
    assert strip_units(text) == value


def test_unit_of():
    assert unit_of("6 Hours") == unit_of("1 hour") == "hour"
    assert unit_of("6") == unit_of("") == unit_of("hours") == ""


def test_has_value():
    assert has_value("3x + 1")
    assert has_value(r"\pi")
    assert not has_value("Tom is 5")
    assert not has_value("x")
