"""Settings of anything: right ones are converted, wrong ones are one line."""

import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from rl.errors import InputError
from rl.settings import Named, Share, build, check_settings, check_value, checked

if TYPE_CHECKING:
    from nowhere import Unknown


@checked
@dataclass(frozen=True, kw_only=True)
class Inner:
    size: Annotated[int, Field(ge=2)] = 2


@checked
@dataclass(frozen=True, kw_only=True)
class Example:
    share: Share = 0.5
    how: Literal["first", "drop"] = "first"
    clip: Annotated[float, Field(gt=0)] | None = None
    names: tuple[str, ...] = ()
    votes: int | dict[str, int] = 0
    inner: Inner = field(default_factory=Inner)
    exact: bool = False
    _memory: dict[str, int] = field(default_factory=dict, init=False)


def score(group, scale: float = 1.0, offset=0.0):
    return [scale, offset]


def postponed(group: "Unknown", scale: "Unknown" = 1):
    return scale


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"share": "1e-3"}, {"share": 0.001}),
        ({"share": 1}, {"share": 1.0}),
        ({"clip": None}, {"clip": None}),
        ({"names": ["a", "b"]}, {"names": ("a", "b")}),
        ({"votes": {"min": "3"}}, {"votes": {"min": 3}}),
        ({"inner": {"size": 3}}, {"inner": Inner(size=3)}),
        ({"inner": Inner(size=4)}, {"inner": Inner(size=4)}),
    ],
)
def test_what_is_exact_is_converted(settings, expected):
    found = check_settings("example", Example, settings)
    assert found == expected
    assert list(map(type, found.values())) == list(map(type, expected.values()))
    assert build("example", Example, settings) == Example(**settings) == Example(**expected)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("a.py:f", r"Write \{a.py:f: \{\}\}"),
        (["a", "b"], r"Write \{a: \{\}, b: \{\}\}"),
        (3, "Change"),
    ],
)
def test_names_without_their_settings(value, advice):
    with pytest.raises(InputError, match=f"^views: got .*, expected a valid dictionary. {advice}"):
        check_value("views", Named | None, value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": "x"}, "example.share: got 'x', expected a valid number. Change the value."),
        ({"share": 2}, "example.share: got 2, expected at most 1. Lower it."),
        ({"share": True}, "example.share: got True, expected a number. Change the value."),
        ({"share": None}, "example.share: got None, expected a valid number. Change the value."),
        ({"exact": 1}, "example.exact: got 1, expected true or false. Change the value."),
        ({"how": 3}, "example.how: got 3, expected 'first' or 'drop'. Change the value."),
        (
            {"how": "firts"},
            "example.how: got 'firts', expected 'first' or 'drop'. Did you mean 'first'?",
        ),
        (
            {"clip": float("nan")},
            "example.clip: got nan, expected above 0. Change the value.",
        ),
        ({"names": ["a", 1]}, "example.names.1: got 1, expected a valid string. Change the value."),
        (
            {"votes": "x"},
            "example.votes: got 'x', expected a valid integer or a valid dictionary. Change the "
            "value.",
        ),
        (
            {"votes": {"min": "x"}},
            "example.votes.min: got 'x', expected a valid integer. Change the value.",
        ),
        ({"inner": {"size": 1}}, "example.inner.size: got 1, expected at least 2. Raise it."),
        (
            {"inner": {"sice": 2}},
            "setting of example.inner: got 'sice', expected one of size. Did you mean 'size'?",
        ),
        ({"inner": 3}, "example.inner: got 3, expected settings, name: value. Change the value."),
        (
            {"_memory": {}},
            "setting of example: got '_memory', expected one of clip, exact, how, inner, names, "
            "share, votes. Use one of these names.",
        ),
    ],
)
def test_what_is_wrong_is_one_line(settings, message):
    with pytest.raises(InputError) as raised:
        build("example", Example, settings)
    assert str(raised.value) == message


def test_the_constructor_checks_too():
    with pytest.raises(InputError, match=r"^Example\.share: got -1, expected at least 0"):
        Example(share=-1)
    with pytest.raises(InputError, match=r"^Example\.how: got 'x'"):
        replace(Example(), how="x")
    assert pickle.loads(pickle.dumps(Example(share=0.25))) == Example(share=0.25)


def test_functions_and_code_without_annotations():
    assert build("score", score, {}, filled_in=("group",)) is score
    half = build("score", score, {"scale": "0.5", "offset": "any"}, filled_in=("group",))
    assert half(None) == [0.5, "any"]
    with pytest.raises(InputError, match="setting of score: got 'group', expected one of offset,"):
        build("score", score, {"group": 1}, filled_in=("group",), further_names=("weight",))
    # Annotations for type checkers alone cannot be read.
    assert build("postponed", postponed, {"scale": "x"}, filled_in=("group",))(None) == "x"

    class Plain:
        def __init__(self, value: int, **others: Any) -> None:
            self.value, self.others = value, others

    plain = build("plain", Plain, {"value": "3", "more": 1})
    assert (plain.value, plain.others) == (3, {"more": 1})
    with pytest.raises(InputError, match=r"^plain\.value: got none, expected a value\. Set it"):
        build("plain", Plain, {})
