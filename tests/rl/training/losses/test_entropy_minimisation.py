"""Entropy minimisation as a term, on a tiny real model: its gradient is that of the entropies."""

import pytest
import torch
from tiny_trainer import gradient, logged, micro_batches, tensors_of

from rl.errors import InputError
from rl.training.losses.entropy_minimisation import EntropyMinimisation

COMPLETIONS = [r"1+1=2\boxed{2}", "2", "3=3", "=;="]


def entropies_of(model, tensors):
    """Entropies of the tokens' distributions, written out, (B, T)."""
    ids = torch.cat([tensors["prompt_ids"], tensors["completion_ids"]], dim=1)
    mask = torch.cat([tensors["prompt_mask"], tensors["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=mask).logits
    length = tensors["completion_ids"].shape[1]
    logps = torch.log_softmax(logits[:, -length - 1 : -1], dim=-1)
    return -(logps.exp() * logps).sum(dim=-1)


@pytest.mark.parametrize(("per", "coef"), [("completion", 1.0), ("token", 0.5)])
def test_the_gradient_without_any_reward(make_trainer, per, coef):
    terms = {"entropy_minimisation": {"per": per, "coef": coef}}
    trainer = make_trainer(
        COMPLETIONS, {"none": lambda group: [0.0] * 4}, shared_prompts=False, loss_terms=terms
    )
    tensors = tensors_of(trainer)
    found = gradient(trainer, tensors)
    trainer.model.zero_grad()
    mask = tensors["completion_mask"]
    total = (entropies_of(trainer.model, tensors) * mask).sum()
    (coef * total / (len(mask) if per == "completion" else mask.sum())).backward()
    expected = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    assert expected.norm() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.norm().item())
    mean = total / mask.sum()
    assert logged(trainer)["signal/entropy_minimisation"] == pytest.approx(mean.item(), rel=1e-3)


def test_rows_of_advantage_zero_are_run_for_it(make_trainer):
    pays_nothing = {"none": lambda group: [0.0] * 4}
    settings = {"loss_terms": {"entropy_minimisation": {}}, "shared_prompts": False}
    with_term = micro_batches(make_trainer(COMPLETIONS, pays_nothing, **settings))
    assert sum(int(b["completion_mask"].any(dim=1).sum()) for b in with_term) == 8
    without = micro_batches(make_trainer(COMPLETIONS, pays_nothing, shared_prompts=False))
    assert sum(int(b["completion_mask"].any(dim=1).sum()) for b in without) == 0


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"EntropyMinimisation.coef: got inf, expected"):
        EntropyMinimisation(coef=float("inf"))
