"""Band and KL at single tokens, by hand."""

import math

import pytest
import torch

from rl.training.token_selection import band_violations, kl_to_reference


def test_a_band_by_hand():
    entropies = torch.tensor([[0.2, 0.5, 1.0], [0.0, 3.0, 1.0]], requires_grad=True)
    low = torch.tensor([0.4, 0.0], requires_grad=True)
    high = torch.tensor([0.8, 1.0], requires_grad=True)
    below, above = band_violations(entropies, low, high)
    assert below.tolist() == [pytest.approx([0.2, 0.0, 0.0]), [0.0, 0.0, 0.0]]
    assert above.tolist() == [pytest.approx([0.0, 0.0, 0.2]), [0.0, 2.0, 0.0]]
    (below.sum() + above.sum()).backward()
    # Up where too low, down where too high; the bounds themselves learn nothing.
    assert entropies.grad.tolist() == [[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    assert low.grad is None
    assert high.grad is None


def test_kl_by_hand():
    # Reference twice as likely: d = log 2, so 2 - log 2 - 1. Half as likely: 1/2 + log 2 - 1.
    found = kl_to_reference(torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([-1.0, 0.0, 0.0]))
    assert found[0] == 0.0
    logps = torch.tensor([-2.0, -2.0])
    found = kl_to_reference(logps, logps + torch.tensor([math.log(2), -math.log(2)]))
    assert found.tolist() == pytest.approx([1 - math.log(2), math.log(2) - 0.5])
