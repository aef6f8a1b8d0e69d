"""Questions read from text that may be anything."""

import time

import pytest

from rl.selfplay.proposals import is_unfinished_thought, last_json_object, text_field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("no braces", None),
        ("{}", {}),
        ('{"a": 1} then {"a": 2}', {"a": "2"}),
        ('```json\n{"a": "x"}\n```', {"a": "x"}),
        ('x^{2} = \\frac{1}{2} {"a": "}{"} done', {"a": "}{"}),
        ('{"a": {"b": [1, {"c": 2}]}}', {"a": {"b": ["1", {"c": "2"}]}}),
        ('{"a": "open', None),
        ("{'a': 1}", None),
        ('[{"a": 1}]', {"a": "1"}),
        ('{"a": 1}<think>{"a": 2}</think>', None),
        ('<think>{"a": 2}</think>{"a": 1}', {"a": "1"}),
        ('{"a": NaN, "b": 1e999}', {"a": "NaN", "b": "1e999"}),
        (f'{{"a": {"9" * 5000}}}', {"a": "9" * 5000}),
    ],
    ids=range(14),
)
def test_the_last_object_counts(text, expected):
    assert last_json_object(text) == expected


@pytest.mark.parametrize(
    "text",
    ["{" * 1_000_000, '{"a":' * 200_000, "[" * 1_000_000, '{"' * 500_000, '{"a":[' * 200_000],
    ids=["braces", "objects", "brackets", "strings", "lists"],
)
def test_hostile_text_takes_no_time(text):
    start = time.perf_counter()
    assert last_json_object(text) is None
    assert time.perf_counter() - start < 2


def test_fields_are_text_or_numbers():
    assert text_field({"a": " x\n"}, "a") == "x"
    assert [text_field({"a": value}, "a") for value in ("", " ", None, True, [], {})] == [None] * 6
    assert text_field({}, "a") is None


def test_unfinished_thoughts():
    assert not is_unfinished_thought("no thought")
    assert is_unfinished_thought("<think>a</think>b<think>c")
    assert not is_unfinished_thought("a</think>b")
