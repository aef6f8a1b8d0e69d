"""Advantages of the roles against numbers derived by hand."""

import pytest

from rl.selfplay.role_advantages import batch_advantages, group_advantages


def test_degenerate_groups():
    assert group_advantages([]) == []
    assert group_advantages([1.0]) == [0.0]
    assert group_advantages([1.0] * 8) == [0.0] * 8


@pytest.mark.parametrize(
    ("num_right", "right", "wrong"),
    # Mean c/8, sample variance 8/7 p (1 - p): c = 1: sd sqrt(8/7 * 7/64) = 0.35355, so
    # (1 - 1/8) / 0.35355 = 2.4749 and -0.3536; c = 4: sd 0.53452, +-0.9354.
    [(1, 2.4749, -0.3536), (4, 0.9354, -0.9354), (7, 0.3536, -2.4749)],
)
def test_groups_of_eight(num_right, right, wrong):
    rewards = [1.0] * num_right + [0.0] * (8 - num_right)
    expected = [right] * num_right + [wrong] * (8 - num_right)
    assert group_advantages(rewards) == pytest.approx(expected, abs=5e-5)


def test_a_batch_of_questions():
    # Mean -0.0159, sample deviation 0.6871.
    rewards = [1.0, 0.3247, 0.0796, -1.0, -0.5, 0.0]
    expected = [1.479, 0.496, 0.139, -1.432, -0.705, 0.023]
    assert batch_advantages(rewards) == pytest.approx(expected, abs=1e-3)


def test_a_batch_per_task():
    # Task a: 1 and -1, deviation sqrt(2), +-0.7071; task b: one question alone teaches nothing.
    advantages = batch_advantages([1.0, 0.5, -1.0], ["a", "b", "a"])
    assert advantages == pytest.approx([0.7071, None, -0.7071], abs=1e-4)


def test_a_batch_that_hardly_deviates_teaches_nothing():
    assert batch_advantages([]) == []
    assert batch_advantages([1.0]) == [None]
    assert batch_advantages([0.5, 0.5, 0.5]) == [None] * 3
    # Deviation of (0.5, 0.501): 0.000707 < 0.001.
    assert batch_advantages([0.5, 0.501]) == [None, None]
    assert batch_advantages([0.5, 0.501], min_std=1e-4) == pytest.approx(
        [-0.7061, 0.7061], abs=1e-4
    )
