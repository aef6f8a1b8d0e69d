"""What every registered reward keeps to, whatever its idea."""

import copy
import math
import pickle
import random
from collections import Counter

import pytest

from rewards import REWARDS, get_reward

ANSWERS = {
    "empty": [],
    "singleton": ["2"],
    "silent_singleton": [None],
    "all_equal": ["2"] * 8,
    "all_silent": [None] * 8,
    "all_different": [str(i) for i in range(8)],
    "tie": ["2", "3", "3", "2"],
    "forms": ["0.5", r"\frac12", "1/2", "7", None, "7.0"],
    "majority": ["2"] * 9 + ["3"] * 4 + ["5"] * 2 + [None],
    "hostile": [
        "9^{9^{9}}",
        "__import__('os')",
        "{" * 5000,
        "\ud83d",
        "\x00",
        r"\frac{1",
        None,
        "2",
    ],
}
each_reward = pytest.mark.parametrize("name", REWARDS)
each_group = pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)


@each_reward
@each_group
def test_one_finite_number_or_none_per_rollout(name, answers, make_group):
    rewards = get_reward(name)(make_group(answers))
    assert isinstance(rewards, list)
    assert len(rewards) == len(answers)
    assert all(r is None or (isinstance(r, float) and math.isfinite(r)) for r in rewards)


@each_reward
@each_group
def test_input_unchanged_and_deterministic(name, answers, make_group):
    group = make_group(answers)
    before = copy.deepcopy(group)
    reward = get_reward(name)
    rewards = reward(group)
    assert group == before
    assert reward(group) == rewards
    assert get_reward(name)(make_group(answers)) == rewards
    # Other groups in between leave no trace.
    reward(make_group(["8", "9", "9"], prompt_id="q"))
    assert reward(group) == rewards


@each_reward
@each_group
def test_picklable_with_the_same_rewards(name, answers, make_group):
    reward = get_reward(name)
    group = make_group(answers)
    assert pickle.loads(pickle.dumps(reward))(pickle.loads(pickle.dumps(group))) == reward(group)


@each_reward
@pytest.mark.parametrize("group_name", sorted(ANSWERS.keys() - {"tie", "all_different", "hostile"}))
def test_order_of_the_rollouts_does_not_matter(name, group_name, make_group):
    # Groups without a tie for first place, in which the order may decide.
    answers = ANSWERS[group_name]
    shuffled = list(answers)
    random.Random(0).shuffle(shuffled)

    def scored(order):
        group = make_group(order)
        rewards = get_reward(name)(group)
        return Counter((r.completion, s) for r, s in zip(group.rollouts, rewards, strict=True))

    assert scored(shuffled) == scored(answers)
    assert scored(answers[::-1]) == scored(answers)


@each_reward
def test_votes_count_whether_trained_or_not(name, make_group):
    answers = ANSWERS["majority"]
    rewards = get_reward(name)(make_group(answers))
    assert get_reward(name)(make_group(answers, trained={0, 15})) == rewards
