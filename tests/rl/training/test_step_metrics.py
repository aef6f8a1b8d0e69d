"""TRL's metrics of a batch, by hand."""

import pytest
import torch
from accelerate import Accelerator

from rl.rollouts.engine import Sample
from rl.training.source import Batch, Row
from rl.training.step_metrics import (
    add_to_table,
    length_metrics,
    reward_metrics,
    sampler_gaps,
    sampling_metrics,
)

NAN = float("nan")


def make_batch(rewards_by_name, rewards, rows=()):
    return Batch(
        rows=rows,
        rewards_by_name=torch.tensor(rewards_by_name),
        rewards=torch.tensor(rewards),
        advantages=torch.tensor([0.5, -0.5]),
        groups=torch.tensor([0, 1]),
        metrics={},
        rollout_lines=[],
        policy_version=0,
    )


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def test_lengths(accelerator):
    lengths = torch.tensor([2, 4, 9])
    found = length_metrics(lengths, torch.tensor([False, False, True]), accelerator)
    assert found == {
        "completions/clipped_ratio": pytest.approx(1 / 3),
        "completions/mean_length": 5.0,
        "completions/min_length": 2.0,
        "completions/max_length": 9.0,
        "completions/mean_terminated_length": 3.0,
        "completions/min_terminated_length": 2.0,
        "completions/max_terminated_length": 4.0,
    }
    found = length_metrics(lengths, torch.tensor([True] * 3), accelerator)
    assert found["completions/mean_terminated_length"] == 0.0


def test_rewards():
    table = [[1.0, NAN], [1.0, -1.0], [0.0, NAN], [NAN, NAN]]
    batch = make_batch(table, [0.0, 0.0, -1.0, NAN])
    found = reward_metrics(batch, ["vote", "entropy"], num_generations=2)
    assert found["rewards/vote/mean"] == pytest.approx(2 / 3)
    assert found["rewards/vote/std"] == pytest.approx(3**-0.5)
    assert found["rewards/entropy/mean"] == -1.0
    # One value has no deviation, so neither has the second group.
    assert torch.tensor(found["rewards/entropy/std"]).isnan()
    assert found["reward"] == pytest.approx(-1 / 3)
    assert found["reward_std"] == pytest.approx(3**-0.5)
    assert found["frac_reward_zero_std"] == 0.5


def test_a_chat_is_shown_as_messages():
    chat = [{"role": "user", "content": "1+1="}]
    sample = Sample(completion_ids=[4, 1], truncated=False)
    rows = [
        Row(prompt_ids=[3], sample=sample, prompt=prompt, completion="2")
        for prompt in ("1+1=", chat)
    ]
    batch = make_batch([[1.0], [0.0]], [1.0, 0.0], rows)
    table = {"prompt": [], "completion": [], "rewards": {"vote": []}, "advantages": []}
    add_to_table(table, batch, ["vote"])
    assert table == {
        "prompt": ["1+1=", chat],
        "completion": ["2", [{"role": "assistant", "content": "2"}]],
        "rewards": {"vote": [1.0, 0.0]},
        "advantages": [0.5, -0.5],
    }


def test_sampling(accelerator):
    logps = torch.tensor([[-1.0, -1.0], [-1.0, -9.0]])
    sampled = torch.tensor([[-1.5, -3.0], [NAN, 0.0]])
    mask = torch.tensor([[1, 1], [1, 0]])
    ratios = torch.tensor([[2.0, 3.0], [1.0, 7.0]])
    found = sampling_metrics(*sampler_gaps(logps, sampled, mask, ratios), accelerator)
    # Gaps 0.5 and 2; one token is unknown, one is padding.
    assert found == {
        "sampling/sampling_logp_difference/mean": 1.25,
        "sampling/sampling_logp_difference/max": 2.0,
        "sampling/importance_sampling_ratio/min": 1.0,
        "sampling/importance_sampling_ratio/mean": 2.0,
        "sampling/importance_sampling_ratio/max": 3.0,
    }
    by_sequence = torch.tensor([[2.0], [4.0]])
    gaps, of_rows = sampler_gaps(logps, sampled, mask, by_sequence)
    assert of_rows.tolist() == [2.0, 4.0]
    nothing = sampler_gaps(logps, sampled, mask * 0, ratios)
    assert set(sampling_metrics(*nothing, accelerator).values()) == {0.0}
    assert len(gaps) == 2
