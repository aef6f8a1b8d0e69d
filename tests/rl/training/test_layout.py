"""Rows as tensors, importance ratios and masks, by hand."""

from types import SimpleNamespace

import pytest
import torch

from rl.rollouts.engine import Sample
from rl.training.layout import are_truncated, importance_ratios, lay_out, leave_out_unscorable
from rl.training.source import Row

NAN = float("nan")


def row(prompt_ids, completion_ids, logps=None, truncated=False):
    sample = Sample(
        completion_ids=completion_ids, truncated=truncated, sampling_per_token_logps=logps
    )
    return Row(prompt_ids=prompt_ids, sample=sample, prompt="", completion="")


def test_prompts_end_and_completions_begin_together():
    rows = [row([2], [3, 1], [-0.5, None]), row([4, 5], [1], [-2.0])]
    found = lay_out(rows, pad_token_id=0)
    assert found["prompt_ids"].tolist() == [[0, 2], [4, 5]]
    assert found["prompt_mask"].tolist() == [[0, 1], [1, 1]]
    assert found["completion_ids"].tolist() == [[3, 1], [1, 0]]
    assert found["completion_mask"].tolist() == [[1, 1], [1, 0]]
    sampled = found["sampling_per_token_logps"]
    # A token that vLLM could not score.
    assert sampled.isnan().tolist() == [[False, True], [False, False]]
    assert sampled.nan_to_num(9.0).tolist() == [[-0.5, 9.0], [-2.0, 0.0]]
    assert lay_out(rows, 0, pad_to_multiple_of=4)["completion_ids"].shape == (2, 4)
    assert "sampling_per_token_logps" not in lay_out([rows[0], row([2], [1])], 0)


def test_a_completion_without_an_end_is_truncated():
    rows = [row([2], [3, 1]), row([2], [1, 3], truncated=True), row([2], [0], truncated=True)]
    rows.append(row([2], [3, 4]))  # ended at a stop string
    assert are_truncated(rows, [1, 0]).tolist() == [False, True, False, False]


LOG2, LOG4 = torch.tensor([2.0, 4.0]).log().tolist()


@pytest.mark.parametrize(
    ("mode", "low", "high", "expected"),
    [
        ("token_truncate", None, 3.0, [[2.0, 3.0], [1.0, 1.0]]),
        ("token_truncate", 1.5, 3.0, [[2.0, 3.0], [1.5, 1.5]]),
        ("token_mask", None, 3.0, [[2.0, 0.0], [1.0, 1.0]]),
        ("token_mask", 1.5, None, [[2.0, 4.0], [0.0, 0.0]]),
        # A row's ratio is the product of its tokens': 2 * 4, and 1 where one is unknown.
        ("sequence_truncate", None, 3.0, [[3.0], [1.0]]),
        ("sequence_mask", None, 9.0, [[8.0], [1.0]]),
    ],
)
def test_importance_ratios_are_bounded(mode, low, high, expected):
    old = torch.tensor([[-1.0, -1.0], [-1.0, -1.0]])
    sampled = torch.tensor([[-1.0 - LOG2, -1.0 - LOG4], [NAN, -5.0]])
    mask = torch.tensor([[1, 1], [1, 0]])  # the last token is padding
    config = SimpleNamespace(
        vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_min=low,
        vllm_importance_sampling_clip_max=high,
    )
    found = importance_ratios(old, sampled, mask, config)
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize(("loss_type", "scale"), [("grpo", 4 / 3), ("dapo", 1.0)])
def test_rows_that_cannot_be_scored_count_nowhere(loss_type, scale):
    # Four rows on two ranks; the third has no reward, and the last an advantage all the same.
    rewards = torch.tensor([1.0, 0.0, NAN, NAN])
    advantages = torch.tensor([0.5, 0.0, 0.0, -1.0])
    found = leave_out_unscorable(torch.ones(2, 1).long(), rewards, advantages, 2, loss_type)
    assert found["completion_mask"].tolist() == [[0], [1]]
    assert found["advantages"].tolist() == pytest.approx([0.0, -scale])
    assert found["row_scale"].tolist() == pytest.approx([scale, scale])
    nothing = leave_out_unscorable(
        torch.ones(1, 1), torch.tensor([NAN]), torch.tensor([0.0]), 0, loss_type
    )
    assert nothing["row_scale"].tolist() == [1.0]
