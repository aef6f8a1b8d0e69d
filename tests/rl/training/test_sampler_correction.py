"""Importance ratios are the same, found by the loss or in a pass before it, and are logged."""

import pytest
import torch
from accelerate import Accelerator
from tiny_trainer import gradient, logged, micro_batches

from rl.training.config import LabelFreeConfig
from rl.training.sampler_correction import SamplerCorrection

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"1+1\boxed{1}", "", r"\boxed{1}", "=;="]
SCORES = {"1+1=": [1.0, 0.0, 0.5, None, 1.0, None], "2+2=": [0.0, 1.0, 0.5, 0.0, 0.0, 1.0]}
SETTINGS = {"use_vllm": True, "logp": -3.0, "max_sampling_logp_gap": 9}


def test_ratios_and_metrics_of_an_update():
    config = LabelFreeConfig(model="m", vllm_importance_sampling_mode="token_truncate")
    config.vllm_importance_sampling_clip_max = 3.0
    correction = SamplerCorrection(config, Accelerator(cpu=True))
    assert correction.finish_update() == {}
    # exp(0.5) = 1.6487; exp(2) is cut at 3; a token the sampler could not tell agrees.
    rows = {
        "completion_mask": torch.tensor([[1, 1], [1, 0]]),
        "sampling_per_token_logps": torch.tensor([[-1.5, -3.0], [float("nan"), 0.0]]),
    }
    logps = torch.tensor([[-1.0, -1.0], [-1.0, -9.0]], requires_grad=True)
    ratios = correction(rows, logps)["importance_sampling_ratio"]
    assert not ratios.requires_grad
    assert ratios[0].tolist() == pytest.approx([1.6487213, 3.0])
    assert ratios[1, 0] == 1.0
    correction({name: value[:1] for name, value in rows.items()}, logps[:1] - 1.5)
    # Of both: gaps 0.5, 2 and 1, 0.5; ratios 1.6487, 3, 1 and exp(-1) = 0.3679, exp(0.5).
    found = correction.finish_update()
    assert found == {
        "sampling/sampling_logp_difference/mean": 1.0,
        "sampling/sampling_logp_difference/max": 2.0,
        "sampling/importance_sampling_ratio/min": pytest.approx(0.3678794),
        "sampling/importance_sampling_ratio/mean": pytest.approx(7.6653220 / 5),
        "sampling/importance_sampling_ratio/max": 3.0,
    }
    assert correction.finish_update() == {}


@pytest.mark.parametrize("mode", ["sequence_mask", "token_truncate", "token_mask"])
@pytest.mark.parametrize("rows", [12, 4])
def test_the_loss_finds_the_ratios_that_a_pass_before_finds(make_trainer, mode, rows):
    settings = {
        **SETTINGS,
        "vllm_importance_sampling_mode": mode,
        "per_device_train_batch_size": rows,
        "shuffle_dataset": False,
    }
    within = make_trainer(COMPLETIONS, SCORES, **settings)
    assert within.is_used_once
    batches = micro_batches(within)
    assert all("old_per_token_logps" not in batch for batch in batches)
    gradients = [gradient(within, *batches)]
    before = make_trainer(COMPLETIONS, SCORES, **settings)
    type(before).is_used_once, kept = property(lambda self: False), type(before).is_used_once
    try:
        batches = micro_batches(before)
        assert all("importance_sampling_ratio" in batch for batch in batches)
        gradients.append(gradient(before, *batches))
    finally:
        type(before).is_used_once = kept
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_a_batch_of_two_updates_is_compared_before_them(make_trainer):
    trainer = make_trainer(
        COMPLETIONS, SCORES, **SETTINGS, num_updates=2, per_device_train_batch_size=6
    )
    assert not trainer.is_used_once
    batches = micro_batches(trainer)
    assert all("old_per_token_logps" in batch for batch in batches)
    assert "sampling/sampling_logp_difference/max" not in logged(trainer)
    assert trainer.correction.finish_update()["sampling/sampling_logp_difference/max"] > 0
