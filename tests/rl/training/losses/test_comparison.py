"""Whole distributions compared some tokens at a time: numbers by hand, and autograd's gradients."""

import math

import pytest
import torch

from rl.training.losses.comparison import Seen, compare_distributions


def both(logps, teacher_logps):
    """The cross-entropy of the teacher, and the teacher's own log-probability of entry 0."""
    return -(teacher_logps.exp() * logps).sum(dim=-1), teacher_logps[:, 0]


def test_two_tokens_by_hand():
    # Logits of the policy 2 (0, log 3) and 2 (log 3, 0) at temperature 2: p = (1/4, 3/4) and
    # (3/4, 1/4). The teacher's are 0: q = (1/2, 1/2), so -(log 1/4 + log 3/4) / 2 both times.
    states = 2 * math.log(3) * torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    policy, teacher = Seen(states, torch.eye(2)), Seen(torch.zeros(2, 2), torch.eye(2))
    found = compare_distributions(both, policy, teacher, temperature=2.0, chunk=1)
    expected = -(math.log(1 / 4) + math.log(3 / 4)) / 2
    torch.testing.assert_close(found, torch.tensor([[expected] * 2, [math.log(0.5)] * 2]))


def make(num_tokens, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    own = [draw(num_tokens, 3), draw(5, 3), draw(5)]
    return [x.requires_grad_() for x in own], Seen(draw(num_tokens, 3), draw(5, 3), draw(5))


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_the_gradient_is_that_of_all_tokens_at_once(chunk):
    own, teacher = make(7)
    weights = torch.arange(14.0).view(2, 7)
    found = compare_distributions(both, Seen(*own), teacher, 0.7, chunk)
    gradients = torch.autograd.grad((weights * found).sum(), own)
    logits = torch.nn.functional.linear(*own) / 0.7
    theirs = torch.nn.functional.linear(teacher.states, teacher.weight, teacher.bias) / 0.7
    expected = torch.stack(both(logits.log_softmax(dim=-1), theirs.log_softmax(dim=-1)))
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        gradients, torch.autograd.grad((weights * expected).sum(), own), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_no_tokens():
    own, teacher = make(0)
    found = compare_distributions(both, Seen(*own), teacher, 1.0, 4)
    assert found.shape == (2, 0)
    gradients = torch.autograd.grad(found.sum(), own)  # a rank without tokens stays in step
    assert [g.shape for g in gradients] == [x.shape for x in own]
    assert not any(g.any() for g in gradients)


def test_a_head_that_is_not_trained():
    own, teacher = make(4)
    states, weight = own[0], own[1].detach()
    found = compare_distributions(both, Seen(states, weight), teacher, 1.0, 3)
    found[0].sum().backward()
    assert states.grad.abs().sum() > 0
    assert weight.grad is None


def test_under_autocast_and_in_low_precision():
    own, teacher = make(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = compare_distributions(both, Seen(*own), teacher, 1.0, 3)
    assert found.dtype == torch.float32
    found.sum().backward()
    exact = compare_distributions(both, Seen(*own), teacher, 1.0, 3)
    assert not found.equal(exact)
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0.05)
    assert all(x.grad.dtype == torch.float32 for x in own)
    own, teacher = make(4, torch.bfloat16)
    found = compare_distributions(both, Seen(*own), teacher, 1.0, 3)
    found.sum().backward()
    assert all(x.grad.dtype == torch.bfloat16 for x in own)
