"""Advantages against numbers derived by hand; groups without a signal come first."""

import math

import pytest
import torch

from rl.advantages import (
    ADVANTAGES,
    centered_advantages,
    leave_one_out_advantages,
    normalized_advantages,
)

NAN = math.nan
every_rule = pytest.mark.parametrize("rule", ADVANTAGES.values(), ids=ADVANTAGES)


@every_rule
@pytest.mark.parametrize(
    "rewards",
    [
        [1.0],  # a singleton
        [NAN, NAN, NAN],
        [NAN, 1.0, NAN],  # one scorable rollout
        [0.0, 0.0, 0.0],
        [1.0, 1.0, NAN],
        [0.1] * 7,  # the float32 mean of seven 0.1 is not 0.1
        [0.7] * 7,
    ],
)
def test_a_group_without_a_signal_gets_exactly_zero(rule, rewards):
    assert rule(torch.tensor([rewards])).tolist() == [[0.0] * len(rewards)]


@every_rule
def test_no_groups(rule):
    assert rule(torch.empty(0, 4)).shape == (0, 4)


def test_normalized_by_hand():
    # Mean 1/2, deviations 1/2; sample variance 4 * 1/4 / 3 = 1/3, so A = 1/2 * sqrt(3).
    found = normalized_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), epsilon=0.0)
    expected = math.sqrt(3) / 2
    assert found.tolist()[0] == pytest.approx([expected, -expected, -expected, expected])
    # Scorable rewards 1, 0, 0: mean 1/3; variance (4/9 + 1/9 + 1/9) / 2 = 1/3;
    # A = 2/3 * sqrt(3) and -1/3 * sqrt(3), and 0 for the unscorable one.
    found = normalized_advantages(torch.tensor([[1.0, NAN, 0.0, 0.0]]), epsilon=0.0)
    root = math.sqrt(3)
    assert found.tolist()[0] == pytest.approx([2 * root / 3, 0.0, -root / 3, -root / 3])


def test_epsilon_is_added_to_the_deviation():
    # Rewards 0 and 2: deviation sqrt(2), so A = 1 / (sqrt(2) + 1) with an epsilon of 1.
    found = normalized_advantages(torch.tensor([[0.0, 2.0]]), epsilon=1.0)
    assert found.tolist()[0] == pytest.approx([-1 / (math.sqrt(2) + 1), 1 / (math.sqrt(2) + 1)])
    # A difference of 1e-9 stays near nothing: 5e-10 / (7.1e-10 + 1e-6) = 5e-4.
    found = normalized_advantages(torch.tensor([[0.0, 1e-9]], dtype=torch.float64))
    assert found[0, 1].item() == pytest.approx(5e-4, rel=0.01)


def test_centered_by_hand():
    # Means 3 of (1, 2, 6) and 1/2 of (1, 0).
    rewards = torch.tensor([[1.0, 2.0, 6.0], [1.0, NAN, 0.0]])
    assert centered_advantages(rewards).tolist() == [[-2.0, -1.0, 3.0], [0.5, 0.0, -0.5]]


def test_leave_one_out_by_hand():
    # Others' means: 4, 3.5 and 1.5 for (1, 2, 6); 0 and 1 for (1, 0).
    rewards = torch.tensor([[1.0, 2.0, 6.0], [1.0, NAN, 0.0]])
    found = leave_one_out_advantages(rewards)
    assert found.tolist() == [pytest.approx([-3.0, -1.5, 4.5]), pytest.approx([1.0, 0.0, -1.0])]


@every_rule
def test_each_group_is_by_itself(rule):
    groups = [[1.0, 0.0, NAN, 3.0], [NAN] * 4, [5.0] * 4, [-2.0, 7.0, 7.0, 0.5]]
    together = rule(torch.tensor(groups))
    alone = [rule(torch.tensor([group]))[0] for group in groups]
    assert torch.equal(together, torch.stack(alone))


@every_rule
def test_scorable_rollouts_do_not_see_unscorable_ones(rule):
    with_gaps = rule(torch.tensor([[NAN, 1.0, NAN, 0.0, 4.0]]))[0]
    without = rule(torch.tensor([[1.0, 0.0, 4.0]]))[0]
    torch.testing.assert_close(with_gaps[[1, 3, 4]], without)
    assert with_gaps[[0, 2]].tolist() == [0.0, 0.0]


@every_rule
def test_advantages_sum_to_zero_and_leave_the_rewards_alone(rule):
    rewards = torch.randn(50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rewards[::3, 2] = NAN
    before = rewards.clone()
    found = rule(rewards)
    assert found.sum(dim=1).abs().max() < 1e-12
    assert found.dtype == torch.float64
    assert torch.equal(rewards.nan_to_num(), before.nan_to_num())
    # What a group earns on top does not matter, only the differences in it.
    torch.testing.assert_close(rule(rewards + 100.0), found)
