"""Votes without one's own, counted by hand; degenerate groups first."""

import pytest

from rewards.leave_one_out_vote import leave_one_out_vote


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], []),
        (["2"], [None]),
        ([None, None], [None, None]),
        # Nobody else answered the first; the second's others answered 2.
        (["2", None], [None, 0.0]),
        (["2", "2"], [1.0, 1.0]),
        (["2", "3"], [0.0, 0.0]),
    ],
)
def test_degenerate_groups(make_group, answers, expected):
    assert leave_one_out_vote(make_group(answers)) == expected


def test_a_clear_majority_is_paid_as_in_the_majority_vote(make_group):
    # Without a 2 there are still two against one, and three against none without the 3.
    group = make_group(["2", "3", "2", None, "2"])
    assert leave_one_out_vote(group) == [1.0, 0.0, 1.0, 0.0, 1.0]


def test_a_lead_by_one_vote_is_a_tie_without_it(make_group):
    # Three halves, two sevens. Without a half 2 : 2, so it earns 1/2; without a seven 3 : 1.
    group = make_group(["1/2", "0.5", "7", r"\frac12", "7"])
    assert leave_one_out_vote(group) == [0.5, 0.5, 0.0, 0.5, 0.0]


def test_a_tie_pays_nobody(make_group):
    # Without a 2 the 3 leads, and without a 3 the 2.
    assert leave_one_out_vote(make_group(["2", "3", "3", "2"])) == [0.0] * 4
    # All differ: three others lead with one vote each, none of them with one's own answer.
    assert leave_one_out_vote(make_group(["1", "2", "3", "4"])) == [0.0] * 4
