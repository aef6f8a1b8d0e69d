"""A model is loaded whole beside a run with DeepSpeed ZeRO-3, whose settings stay."""

import pytest
import torch

from rl.whole_weights import whole_weights


def test_weights_are_whole_and_the_run_keeps_its_settings(tiny_model_folder):
    pytest.importorskip("deepspeed")
    from transformers import AutoModelForCausalLM
    from transformers.integrations import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    plain = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    with whole_weights():
        assert not is_deepspeed_zero3_enabled()
        loaded = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    assert is_deepspeed_zero3_enabled()
    del config
    assert not is_deepspeed_zero3_enabled()
    for one, other in zip(loaded.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_elsewhere_nothing_changes():
    with whole_weights():
        pass
