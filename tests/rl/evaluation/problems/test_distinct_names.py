"""No two benchmarks of a run go by one name."""

from pathlib import Path

import pytest

from rl.evaluation.problems.distinct_names import distinct_names


@pytest.mark.parametrize(
    ("places", "names"),
    [
        ([], []),
        (["a/t.jsonl"], ["t"]),
        (["a/t.jsonl", "b/u.jsonl"], ["t", "u"]),
        (["a/t.jsonl", "b/t.jsonl"], ["a/t", "b/t"]),
        (["t.jsonl", "b/t.jsonl"], ["t.jsonl", "b/t"]),  # nothing stands before the first
        (["a/x/t.jsonl", "b/x/t.jsonl", "c/t.jsonl"], ["a/x/t", "b/x/t", "c/t"]),
        (["a/t.jsonl", "a/t.csv"], ["a/t.jsonl", "a/t.csv"]),
        (["/a/t.jsonl", "a/t.jsonl"], ["/a/t", "a/t.jsonl"]),
        (["./t.jsonl", "t.jsonl"], ["./t.jsonl", "t.jsonl"]),
        (["one/set", "other/set", "set"], ["one/set", "other/set", "set"]),
    ],
)
def test_names_by_hand(places, names):
    assert list(distinct_names(places, lambda place: Path(place).stem).values()) == names


def test_a_name_that_is_taken_is_not_given_again():
    # Both t lengthen to "a/t" and "b/t"; what is called "a/t" already lengthens too.
    places = ["a/t.jsonl", "b/t.jsonl", "z"]
    short = {"a/t.jsonl": "t", "b/t.jsonl": "t", "z": "a/t"}.__getitem__
    assert list(distinct_names(places, short).values()) == ["a/t.jsonl", "b/t", "z"]
