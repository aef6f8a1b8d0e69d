"""Bytes shared evenly, by hand."""

from rl.report.byte_budget import fill_evenly, share_budget, spread_order


def test_nobody_wants_or_nothing_is_there():
    assert share_budget([], 100) == []
    assert share_budget([0, 5], 0) == [0, 0]
    assert fill_evenly([], 10) == []
    assert fill_evenly([[], [1]], 0) == [0, 0]


def test_what_one_does_not_need_goes_to_the_others():
    # Roots 3, 10, 10: 3/23 of 115 is 15, above the 9 wanted; the other two share 106.
    assert share_budget([100, 9, 100], 115) == [53, 9, 53]
    assert share_budget([10, 20], 100) == [10, 20]
    # Roots 1 and 10.
    assert share_budget([10_000, 1_000_000], 11_000) == [1_000, 10_000]


def test_a_round_that_does_not_fit_is_spread_over_the_lists():
    # Five lists of 2: the first round takes 5; of the second, the first, last and middle one fit.
    assert fill_evenly([[1, 1]] * 5, 8) == [2, 1, 2, 1, 2]
    # A list whose next item is too large stops; the others go on.
    assert fill_evenly([[5, 1, 1], [1, 1, 1]], 4) == [0, 3]


def test_the_first_of_spread_positions_are_evenly_spread():
    assert [spread_order(n) for n in (0, 1, 2, 3)] == [[], [0], [0, 1], [0, 2, 1]]
    # 0 and 8, their middle 4, then 2 and 6, then the rest.
    assert spread_order(9) == [0, 8, 4, 2, 6, 1, 3, 5, 7]
    assert sorted(spread_order(1000)) == list(range(1000))
