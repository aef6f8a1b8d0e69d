"""Series of metrics, and the choice of evenly spaced things."""

import pytest

from rl.report.curves import MAX_POINTS, choose_evenly, read_series


def test_no_lines_no_series():
    assert read_series([]) == {}
    assert read_series([{"step": 1, "epoch": 0.5}]) == {}


def test_points_are_finite_numbers_at_a_step():
    nan = float("nan")
    lines = [
        {"step": 1, "a": 0.5, "b": None, "c": nan, "d": True, "e": "1"},
        {"a": 9.0},
        {"step": 3, "a": 1, "eval/pass@1": 0.25},
    ]
    assert read_series(lines) == {
        "a": {"step": [1, 3], "tokens": [], "value": [0.5, 1.0]},
        "eval/pass@1": {"step": [3], "tokens": [], "value": [0.25]},
    }


def test_tokens_add_up_over_lines():
    # 10, then a line of an evaluation that samples nothing of its own, then 10 + 30.
    lines = [
        {"step": 1, "a": 1.0, "cost/num_sampled_tokens": 10.0},
        {"step": 1, "b": 2.0},
        {"step": 2, "a": 3.0, "cost/num_sampled_tokens": 30.0},
    ]
    series = read_series(lines)
    assert series["a"]["tokens"] == [10.0, 40.0]
    assert series["b"]["tokens"] == [10.0]


def test_a_long_run_keeps_its_ends():
    series = read_series([{"step": i, "a": float(i)} for i in range(10 * MAX_POINTS)])
    assert len(series["a"]["step"]) == len(series["a"]["value"]) == MAX_POINTS
    assert series["a"]["step"][0] == 0
    assert series["a"]["step"][-1] == 10 * MAX_POINTS - 1


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [5]), (2, [0, 5]), (3, [0, 2, 5]), (5, [0, 1, 2, 4, 5]), (6, list(range(6)))],
)
def test_evenly_spaced(count, chosen):
    # Of six items, three: positions 0, 2.5 (rounded to the even 2), 5; five: 0, 1.25, 2.5, 3.75, 5.
    assert choose_evenly(range(6), count) == chosen


def test_evenly_spaced_of_none():
    assert choose_evenly([], 3) == []
