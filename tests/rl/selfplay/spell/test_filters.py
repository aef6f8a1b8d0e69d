"""Filters, counted by hand."""

from random import Random

import pytest

from rl.selfplay.spell.filters import (
    Negative,
    draw_negatives,
    has_variance,
    is_consistent,
    min_correct_guesses,
)


@pytest.mark.parametrize(
    ("num_samples", "chance", "expected"),
    [
        (1, 0.0, 1),
        (3, 0.0, 1),
        (1, 0.25, 1),  # no count is that unlikely: one sample decides, as published
        (2, 0.25, 2),  # P(>= 1) = 7/16, P(2) = 1/16
        (3, 0.25, 2),  # P(>= 1) = 37/64, P(>= 2) = 10/64 = 0.156
        (8, 0.25, 4),  # P(>= 3) = 0.321, P(>= 4) = 0.114
    ],
)
def test_guesses_are_allowed_for(num_samples, chance, expected):
    assert min_correct_guesses(num_samples, chance) == expected


def test_variance():
    assert not has_variance([])
    assert not has_variance([1.0])
    assert not has_variance([0.0, 0.0])
    assert has_variance([0.0, 1.0])


@pytest.mark.parametrize(
    ("verdicts", "verdict", "rule", "expected"),
    [
        ([], None, 1.0, False),
        ([None] * 8, None, 0.0, False),
        ([1] * 8, 1, 1.0, False),  # 8/8 > 0.99: nothing to learn
        ([1] * 7 + [None], 1, 1.0, False),  # 7/7 valid
        ([1] * 7 + [0], 1, 1.0, True),
        ([1] * 5 + [0] * 3, 1, 0.0, False),  # the rule says otherwise
        ([1] * 3 + [0] * 5, 0, 0.0, True),
        ([1] * 4 + [0] * 4, 0, 0.0, False),  # 4/8 < 0.51
        ([1] * 3 + [0] * 2 + [None] * 3, 1, 1.0, True),  # 3/5
        ([], 1, 1.0, False),  # an equal answer was judged
    ],
    ids=range(10),
)
def test_consistency(verdicts, verdict, rule, expected):
    assert is_consistent(verdicts, verdict, rule) == expected


def test_consistency_without_the_rule():
    assert is_consistent([1, 1, 0], 1, 0.0, with_rule=False)


def candidates(**counts):
    """`a_bad_format=3` makes three of task a."""
    found = []
    for name, count in counts.items():
        task, _, kind = name.partition("_")
        found += [Negative(index=len(found) + i, task=task, kind=kind) for i in range(count)]
    return found


def test_as_many_negatives_as_positives_per_task():
    pool = candidates(a_bad_format=9, b_not_grounded=9)
    chosen = draw_negatives({"a": 3, "b": 5}, pool, Random(0))
    assert len([i for i in chosen if i < 9]) == 3
    assert len([i for i in chosen if i >= 9]) == 5
    assert chosen == draw_negatives({"a": 3, "b": 5}, pool, Random(0))


def test_what_a_task_lacks_is_asked_of_the_next():
    # a has 1 of 3, so b gives 2 + 2; c lacks 2, which a and b do not have any more.
    pool = candidates(a_bad_format=1, b_zero_variance=4, c_bad_format=0)
    assert draw_negatives({"a": 3, "b": 2, "c": 2}, pool, Random(0)) == [0, 1, 2, 3, 4]
    # The last one's lack goes round to the first.
    pool = candidates(a_bad_format=5)
    assert len(draw_negatives({"a": 1, "b": 3}, pool, Random(0))) == 4
    assert draw_negatives({}, pool, Random(0)) == []
    assert draw_negatives({"a": 2}, [], Random(0)) == []


def test_by_type_takes_turns():
    # 90 format errors, 3 and 2 others: of 9, all 5 others and 4 format errors.
    pool = candidates(a_bad_format=90, a_not_grounded=3, a_zero_variance=2)
    chosen = draw_negatives({"a": 9}, pool, Random(0), "by_type")
    assert [i for i in chosen if i >= 90] == [90, 91, 92, 93, 94]
    assert len(chosen) == 9
    few = draw_negatives({"a": 3}, pool, Random(0), "by_type")
    assert [sum(low <= i < high for i in few) for low, high in ((0, 90), (90, 93), (93, 95))] == [
        *(1, 1, 1)
    ]
