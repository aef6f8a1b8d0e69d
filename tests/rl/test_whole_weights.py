"""A model is loaded whole beside a run with ZeRO-3 or FSDP, whose settings stay."""

import socket

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


@pytest.fixture
def second_rank_under_fsdp(monkeypatch):
    """The environment of rank 1 under recipes/accelerate/fsdp2.yaml."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    for name in ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LOCAL_RANK", "1")
    yield
    torch.distributed.destroy_process_group()


def test_a_rank_that_fsdp_would_leave_without_weights(tiny_model_folder, second_rank_under_fsdp):
    from transformers import AutoModelForCausalLM

    left = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    assert not any(parameter.any() for parameter in left.parameters())
    with whole_weights():
        loaded = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    assert all(parameter.any() for parameter in loaded.parameters())
    again = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    assert not any(parameter.any() for parameter in again.parameters())


def test_elsewhere_nothing_changes():
    with whole_weights():
        pass
