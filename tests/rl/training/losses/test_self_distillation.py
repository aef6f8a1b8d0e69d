"""TTPO's distillation: KL and token weights by hand, and which tokens it weighs."""

import math

import pytest
import torch

from rl.errors import InputError
from rl.training.losses.self_distillation import SelfDistillation, forward_kl, soft_or
from rl.training.losses.term import TermTokens

HALF = math.log(0.5)


def test_a_teacher_that_is_the_policy_teaches_nothing():
    logps = torch.log_softmax(torch.tensor([[0.3, -1.0, 2.0]]), dim=-1)
    clipped, unclipped = forward_kl(logps, logps, clip=0.05)
    assert clipped.tolist() == unclipped.tolist() == [0.0]
    empty = torch.zeros(0, 3)
    assert [found.shape for found in forward_kl(empty, empty, clip=0.05)] == [(0,), (0,)]


def test_kl_by_hand():
    # q = (3/4, 1/4), p = (1/2, 1/2): 3/4 log(3/2) = 0.3041 and 1/4 log(1/2) = -0.1733.
    q, p = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
    clipped, unclipped = forward_kl(p, q, clip=1.0)
    assert clipped.item() == unclipped.item() == pytest.approx(0.130812, abs=1e-5)
    # The first entry is bounded; the second is not, so the sum falls below 0.
    clipped, unclipped = forward_kl(p, q, clip=0.05)
    assert clipped.item() == pytest.approx(0.05 - 0.173287, abs=1e-5)
    assert unclipped.item() == pytest.approx(0.130812, abs=1e-5)


def test_a_bounded_entry_has_no_gradient():
    q = torch.tensor([[0.75, 0.25]]).log()
    p = torch.tensor([[0.5, 0.5]]).log().requires_grad_()
    forward_kl(p, q, clip=1.0)[0].sum().backward()
    torch.testing.assert_close(p.grad, -q.exp())
    p.grad = None
    forward_kl(p, q, clip=0.05)[0].sum().backward()
    torch.testing.assert_close(p.grad, torch.tensor([[0.0, -0.25]]))


def test_tokens_count_where_the_policy_is_undecided_or_the_teacher_differs():
    # Entropies 0, 1, 0, 1 and divergences 0, 0, 2, 2 scale to 0 and 1: 0 or 1 or 1 or 1.
    entropies = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    divergences = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    mask = torch.ones(1, 4)
    assert soft_or(entropies, divergences, mask).tolist() == [[0.0, 1.0, 1.0, 1.0]]
    # What is equal throughout scales to 0, and padding has no part.
    assert soft_or(entropies, torch.ones(1, 4), mask).tolist() == [[0.0, 1.0, 0.0, 1.0]]
    short = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert soft_or(entropies, divergences, short).tolist() == [[0.0, 1.0, 0.0, 0.0]]
    assert soft_or(entropies, divergences, torch.zeros(1, 4)).abs().sum() == 0
    # Half and half: 1/2 + 1/2 - 1/4; the 0.98-quantile of 0, 1, 2 is 1.96.
    values = torch.tensor([[0.0, 0.98, 2.0]])
    found = soft_or(values, values, torch.ones(1, 3))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.75, 1.0]]), atol=1e-3, rtol=0)


def test_completions_that_agree_weigh_alike_whatever_their_length():
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    advantages = torch.tensor([0.0, 0.5, -0.1, 0.0])
    found = SelfDistillation().weights(mask, advantages)
    assert found.tolist() == [[0.25] * 4, [0.5, 0.5, 0.0, 0.0], [0.0] * 4, [0.0] * 4]
    found = SelfDistillation(max_tokens=3).weights(mask, advantages)
    torch.testing.assert_close(found[0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]))


def test_as_a_term():
    term = SelfDistillation(clip=1.0)
    policy, teacher = torch.tensor([[0.5, 0.5]] * 2), torch.tensor([[0.5, 0.5], [0.75, 0.25]])
    compared = term.compare(policy.log(), teacher.log())  # they differ at the second of two tokens
    tokens = TermTokens(
        logps=torch.full((1, 2), HALF),
        entropies=torch.zeros(1, 2),
        old_logps=torch.full((1, 2), HALF),
        mask=torch.ones(1, 2),
        compared=tuple(value[None] for value in compared),
    )
    found = term.per_token(tokens)
    # The 0.98-quantile of 0 and D lies below D, so the second weighs 1.
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.130812]]))


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"SelfDistillation.clip: got 0, expected"):
        SelfDistillation(clip=0)
    with pytest.raises(InputError, match=r"SelfDistillation.weights_of: got 'other', expected"):
        SelfDistillation(weights_of="other")  # type: ignore[arg-type]
