"""RLSC's loss; every number by hand."""

import math

import pytest
import torch

from rl.errors import InputError
from rl.training.losses.self_confidence import SelfConfidence, self_confidence_loss
from rl.training.losses.term import TermTokens


def test_the_probability_of_the_completion_weighs_its_tokens():
    # Old: 1/2 * 1/4 = 1/8; with alpha 0.1 each token weighs 0.225, the padding counts nowhere.
    old = torch.log(torch.tensor([[0.5, 0.25, 0.001]]))
    new = torch.log(torch.tensor([[0.8, 0.5, 0.5]]))
    loss = self_confidence_loss(new, old, torch.tensor([[1, 1, 0]]), alpha=0.1)
    expected = [[-0.225 * math.log(0.8), -0.225 * math.log(0.5)]]
    torch.testing.assert_close(loss[:, :2], torch.tensor(expected))


def test_degenerate_completions():
    nothing = self_confidence_loss(*[torch.zeros(2, 0)] * 3, alpha=0.1)
    assert nothing.shape == (2, 0)
    # A certain completion has weight 1 + alpha; one of 10,000 uncertain tokens alpha alone.
    certain = self_confidence_loss(
        torch.full((1, 1), -2.0), torch.zeros(1, 1), torch.ones(1, 1), 0.5
    )
    assert certain.tolist() == [[3.0]]
    long = torch.full((1, 10_000), -1.0)
    assert self_confidence_loss(long, long, torch.ones_like(long), 0.25)[0, 0].item() == 0.25
    assert self_confidence_loss(long, long, torch.ones_like(long), 0.0).sum().item() == 0.0


def test_gradient_is_half_that_of_the_chance_of_two_equal_samples():
    # Over all outcomes of one token: sum_y p_old(y) * d/dz(-p_old(y) log p(y)) = -1/2 d/dz sum p^2.
    logits = torch.tensor([0.3, -0.2, 1.1], requires_grad=True)
    logps = torch.log_softmax(logits, dim=0)
    probabilities = logps.exp().detach()
    losses = self_confidence_loss(logps[:, None], logps[:, None], torch.ones(3, 1), alpha=0.0)
    [found] = torch.autograd.grad((probabilities * losses[:, 0]).sum(), logits)
    collision = torch.softmax(logits, dim=0).square().sum()
    [expected] = torch.autograd.grad(-collision / 2, logits)
    torch.testing.assert_close(found, expected)


def test_as_a_term():
    mask = torch.tensor([[1, 1, 0]])
    tokens = TermTokens(
        logps=torch.full((1, 3), -1.0),
        entropies=torch.zeros(1, 3),
        old_logps=torch.zeros(1, 3),
        mask=mask,
    )
    term = SelfConfidence(alpha=1.0)
    assert term.weights(mask, torch.zeros(1)).tolist() == [[1.0, 1.0, 0.0]]
    assert term.per_token(tokens).tolist() == [[2.0, 2.0, 2.0]]
    with pytest.raises(InputError, match=r"SelfConfidence.alpha: got -1, expected at least 0"):
        SelfConfidence(alpha=-1)
