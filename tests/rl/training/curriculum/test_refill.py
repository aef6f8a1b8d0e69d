"""Which groups are trained, and a batch out of two: places by hand."""

import math

import pytest
import torch
from accelerate import Accelerator

from rl.groups.scoring import score_group
from rl.rollouts.engine import Sample
from rl.training.curriculum.refill import choose_groups, refill
from rl.training.source import Batch, Row


@pytest.mark.parametrize(
    ("teaches", "chosen"),
    [
        ([[False]], [None]),
        ([[True, True]], [(0, 0), (0, 1)]),
        ([[True, False]], [(0, 0), None]),
        ([[False, True], [True]], [(1, 0), (0, 1)]),
        # The first of what came later, in order; one is too much.
        ([[False, True, False], [False], [True, True, True]], [(2, 0), (0, 1), (2, 1)]),
    ],
)
def test_later_groups_take_the_empty_places(teaches, chosen):
    assert choose_groups(teaches) == chosen


@pytest.fixture
def make_batch(make_group):
    """Two rows a group; a row's reward is its name's number."""

    def make(names):
        sampled = [
            score_group(
                make_group(["1", "2"], prompt_id=name), 0, {"r": lambda g: [0, 0]}, {"r": 1}
            )
            for name in names
        ]
        texts = [f"{name}{i}" for name in names for i in range(2)]
        numbers = torch.arange(len(texts)) + 10.0 * ord(names[0])
        sample = Sample(completion_ids=[1], truncated=False)
        return Batch(
            rows=[Row(prompt_ids=[1], sample=sample, prompt="", completion=t) for t in texts],
            rewards_by_name=numbers[:, None],
            rewards=numbers,
            advantages=numbers,
            groups=torch.arange(len(names)).repeat_interleave(2),
            metrics={"of": float(ord(names[0]))},
            rollout_lines=[
                {"prompt_id": name, "visit": "0-0", "trained": True, "advantage": 1.0}
                for name in names
                for _ in range(2)
            ],
            policy_version=0,
            alarms=[names],
            sampled=sampled,
        )

    return make


def test_a_batch_of_two_by_hand(make_batch):
    first, second = make_batch("abc"), make_batch("de")
    # a stays, e takes the place of b, c is left without one.
    batch = refill([first, second], [(0, 0), (1, 1), None], Accelerator(cpu=True))
    assert [row.completion for row in batch.rows] == ["a0", "a1", "e0", "e1", "c0", "c1"]
    # Rewards of a: 970, 971; of the fourth and fifth row of the second batch: 1002, 1003.
    assert batch.rewards[:4].tolist() == [970, 971, 1002, 1003]
    assert batch.advantages.tolist() == [970, 971, 1002, 1003, 0, 0]
    assert batch.rewards[4:].isnan().all()
    assert batch.rewards_by_name[4:].isnan().all()
    assert batch.rewards_by_name[2:4, 0].tolist() == [1002, 1003]
    assert batch.metrics == {"of": 97.0}
    assert batch.alarms == ["abc", "de"]
    assert [scored.group.prompt_id for scored in batch.sampled] == list("abcde")
    trained = {line["prompt_id"]: line["trained"] for line in batch.rollout_lines}
    assert trained == {"a": True, "b": False, "c": False, "d": False, "e": True}
    # The batches that it came from are as they were.
    assert first.rewards.tolist() == [970, 971, 972, 973, 974, 975]
    assert not any(math.isnan(value) for value in second.rewards.tolist())


def test_nothing_to_refill_leaves_the_batch(make_batch):
    first = make_batch("ab")
    batch = refill([first], [(0, 0), (0, 1)], Accelerator(cpu=True))
    assert batch.rows == first.rows
    assert batch.rewards.equal(first.rewards)
    assert [line["trained"] for line in batch.rollout_lines] == [True] * 4
