"""Random rows: as many as the share says, from a seed."""

import pytest
import torch

from rl.training.gradient_masks.random_rows import RandomRows


@pytest.mark.parametrize(
    ("num_rows", "threshold", "num_kept"),
    [(1, 0.7, 1), (1, 1.0, 0), (10, 0.7, 3), (10, 0.0, 10), (3, 0.5, 2)],  # int(1.5) = 1 masked
)
def test_the_integer_part_of_the_share_is_masked(num_rows, threshold, num_kept):
    kept = RandomRows(threshold=threshold).keep(torch.zeros(num_rows), 5)
    assert kept.sum() == num_kept


def test_rows_follow_from_the_seed_alone():
    rule, rows = RandomRows(), torch.rand(40)
    assert rule.keep(rows, 1).equal(rule.keep(rows * 0, 1))
    assert not rule.keep(rows, 1).equal(rule.keep(rows, 2))
