"""A reward without a signal: what it depends on, and how often it pays."""

import pytest

from rewards.random_reward import RandomReward
from rl.errors import InputError
from rl.types import Group, Rollout


def make_group(*completions, prompt_id="p", visit="0-0", **fields):
    rollouts = tuple(Rollout(completion=text, **fields) for text in completions)
    return Group(prompt_id=prompt_id, prompt="1+1=", visit=visit, rollouts=rollouts)


MANY = [f"completion {i}" for i in range(2000)]


def test_degenerate_groups():
    assert RandomReward()(make_group()) == []
    assert RandomReward(probability=0.0)(make_group("x", "x", "")) == [0.0, 0.0, 0.0]
    assert RandomReward(probability=1.0)(make_group("x", "x", "")) == [1.0, 1.0, 1.0]
    assert RandomReward()(make_group("\ud83d"))[0] in (0.0, 1.0)  # half a surrogate pair


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_it_pays_as_often_as_it_says(probability):
    rewards = RandomReward(probability=probability)(make_group(*MANY))
    assert set(rewards) == {0.0, 1.0}
    # Five standard deviations of a share of 2000.
    deviation = (probability * (1 - probability) / 2000) ** 0.5
    assert abs(rewards.count(1.0) / 2000 - probability) < 5 * deviation


def test_copies_are_drawn_independently():
    rewards = RandomReward()(make_group(*["x"] * 2000))
    assert abs(rewards.count(1.0) / 2000 - 0.5) < 5 * 0.0112


def test_the_same_group_gets_the_same_rewards_whatever_else_is_known():
    reward = RandomReward()
    expected = reward(make_group(*MANY))
    assert RandomReward()(make_group(*MANY)) == expected
    # Answers, lengths and which rollouts are trained do not enter.
    fields = {"answer": "2", "cluster": 0, "num_tokens": 9, "trained": False, "truncated": True}
    assert reward(make_group(*MANY, **fields)) == expected


@pytest.mark.parametrize(
    ("settings", "change"),
    [({"seed": 1}, {}), ({}, {"prompt_id": "q"}), ({}, {"visit": "1-0"})],
)
def test_another_seed_prompt_or_visit_draws_anew(settings, change):
    first = RandomReward()(make_group(*MANY))
    second = RandomReward(**settings)(make_group(*MANY, **change))
    # Independent draws agree on half of 2000, standard deviation 22.4.
    num_equal = sum(a == b for a, b in zip(first, second, strict=True))
    assert abs(num_equal - 1000) < 5 * 22.4


def test_a_completion_keeps_its_reward_in_another_order():
    rewards = RandomReward()(make_group(*MANY))
    assert RandomReward()(make_group(*MANY[::-1])) == rewards[::-1]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_is_one(probability):
    with pytest.raises(
        InputError, match=f"RandomReward.probability: got {probability}, expected at"
    ):
        RandomReward(probability=probability)
