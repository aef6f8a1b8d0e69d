"""Accuracy, forgetting and transfer of a stream, with numbers by hand."""

import pytest

from rl.evaluation.metrics.continual import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
)

# Three data sets and a benchmark that belongs to none. Data set 1 is best after 2, then lost.
STREAM = [
    [0.5, 0.2, 0.1, 0.9],
    [0.8, 0.6, 0.3, 0.9],
    [0.4, 0.5, 0.7, 0.9],
]
BASE = [0.3, 0.1, 0.2, 0.9]


def test_after_the_first_data_set_nothing_can_be_forgotten():
    first = STREAM[:1]
    assert average_accuracy(first) == 0.5
    assert forgetting(first) is None
    assert backward_transfer(first) is None
    assert forward_transfer(first, BASE) is None


def test_after_the_second():
    both = STREAM[:2]
    assert average_accuracy(both) == pytest.approx(0.7)  # (0.8 + 0.6) / 2
    assert forgetting(both) == pytest.approx(-0.3)  # 0.5 - 0.8: it helped
    assert backward_transfer(both) == pytest.approx(0.3)
    assert forward_transfer(both, BASE) == pytest.approx(0.1)  # 0.2 - 0.1


def test_after_the_third_the_best_of_earlier_rows_counts():
    assert average_accuracy(STREAM) == pytest.approx(1.6 / 3)  # 0.4 + 0.5 + 0.7
    # Against the best: 0.8 - 0.4 and 0.6 - 0.5; against the own turn: 0.4 - 0.5 and 0.5 - 0.6.
    assert forgetting(STREAM) == pytest.approx(0.25)
    assert backward_transfer(STREAM) == pytest.approx(-0.1)
    assert forward_transfer(STREAM, BASE) == pytest.approx(0.1)  # (0.2 - 0.1 + 0.3 - 0.2) / 2


def test_the_best_may_lie_before_its_own_turn():
    # Data set 2: 0.9 before its turn, 0.5 after it, 0.4 at the end; data set 1 stays at 1.
    rows = [[1.0, 0.9, 0.0], [1.0, 0.5, 0.0], [1.0, 0.4, 1.0]]
    assert forgetting(rows) == pytest.approx(0.25)
    assert backward_transfer(rows) == pytest.approx(-0.05)


def test_what_does_not_change_is_neither_forgotten_nor_transferred():
    same = [[0.5, 0.5], [0.5, 0.5]]
    assert forgetting(same) == backward_transfer(same) == forward_transfer(same, same[0]) == 0.0


@pytest.mark.parametrize("measure", [average_accuracy, forgetting, backward_transfer])
@pytest.mark.parametrize("rows", [[], [[]], [[0.5], [0.5]]])
def test_fewer_columns_than_rows_are_refused(measure, rows):
    with pytest.raises(ValueError, match="as many columns in each as there are rows"):
        measure(rows)


def test_a_base_of_fewer_benchmarks_is_refused():
    with pytest.raises(ValueError, match="base: got 1 accuracies"):
        forward_transfer(STREAM, [0.3])
