"""ECHO's weights of tokens and clip of completions; every number by hand."""

import math

import pytest
import torch

from rewards import get_token_selector
from rewards.entropy_confidence import (
    EntropyConfidence,
    clip_by_confidence,
    standardised,
    unsureness,
)
from rl.errors import InputError

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_no_token_one_token_and_equal_tokens():
    values = torch.tensor([[1.0, 2.0, 3.0]])
    assert standardised(values, ~ALL).tolist() == [[0.0, 0.0, 0.0]]
    assert standardised(values, torch.tensor([[True, False, False]])).tolist() == [[0.0] * 3]
    assert standardised(torch.full((1, 3), 0.7), ALL).abs().max() == 0.0


def test_scores_are_standardised_over_the_batch_and_padding_has_no_part():
    # 1, 2, 3 have mean 2 and sample deviation 1; the 99 is padding.
    values = torch.tensor([[1.0, 2.0], [3.0, 99.0]])
    mask = torch.tensor([[True, True], [True, False]])
    expected = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(standardised(values, mask), expected)


def test_both_scores_add_up_and_are_cut():
    # z(H) = -1, 0, 1. 1 - C = 0, 0.5, 0.25 has mean 0.25 and deviation 0.25: z = -1, 1, 0.
    entropies = torch.tensor([[1.0, 2.0, 3.0]])
    confidences = torch.tensor([[1.0, 0.5, 0.75]])
    found = unsureness(entropies, confidences, ALL, limit=2.0)
    torch.testing.assert_close(found, torch.tensor([[-2.0, 1.0, 1.0]]), atol=1e-5, rtol=0)
    assert unsureness(entropies, confidences, ALL, limit=1.5)[0, 0] == -1.5


def test_the_clip_follows_the_last_tokens():
    # Sure to the end: sigmoid(0) = 1/2, so 0.05 + 0.15 / 2. Never sure: sigmoid(4) = 0.98201.
    # The last two of 0, 1, 0.5: sigmoid(4 * 0.25) = 0.73106; of a short one all there is.
    confidences = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.75, 9, 9]])
    mask = torch.tensor([[True] * 3] * 3 + [[True, False, False]])
    found = clip_by_confidence(confidences, mask, 0.05, 0.2, 4.0, 2)
    expected = [0.125, 0.05 + 0.15 * 0.98201, 0.05 + 0.15 * 0.73106, 0.05 + 0.15 * 0.73106]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    # Without tokens as with a mean of 0.
    assert clip_by_confidence(confidences, mask & False, 0.05, 0.2, 4.0, 2)[0] == found[1]


def test_as_a_selector():
    selector = get_token_selector("entropy_confidence", clip_window=1)
    entropies = torch.tensor([[1.0, 2.0, 3.0]])
    logps = torch.tensor([[1.0, 0.5, 0.75]]).log()
    selection = selector(entropies, ALL, torch.zeros(1), logps)
    # 1 + 0.1 S, with S of above; the last confidence is 0.75.
    torch.testing.assert_close(selection.weights, torch.tensor([[0.8, 1.1, 1.1]]))
    assert selection.clip.tolist() == pytest.approx([0.05 + 0.15 / (1 + math.exp(-1))])
    assert selection.low.tolist() == selection.high.tolist() == [0.0]
    alone = get_token_selector("entropy_confidence", strength=0.0)
    assert alone(entropies, ALL, torch.zeros(1), logps).weights.tolist() == [[1.0] * 3]
    # 1 - 1.7 (1 / 1.7) is -1.2e-7 in single precision.
    strong = get_token_selector("entropy_confidence", strength=1.7, limit=1 / 1.7)
    entropies = torch.tensor([[0.0] + [3.0] * 9])
    weights = strong(entropies, entropies > -1, torch.zeros(1), torch.zeros(1, 10)).weights
    assert weights[0, 0] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0.6}, r"entropy_confidence\.limit: got 2 beside strength 0\.6"),
        ({"clip_low": 0.3}, r"clip_low: got 0\.3, expected at most clip_high \(0\.2\)"),
        ({"strength": -0.1}, r"strength: got -0\.1, expected"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        EntropyConfidence(**settings)
