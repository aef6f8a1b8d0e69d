from types import SimpleNamespace

import pytest

from rl.training.sharding import sharding_of


@pytest.mark.parametrize(("stage", "name"), [(None, ""), (2, ""), (3, "ZeRO-3")])
def test_of_deepspeed_s_stages_only_the_third_shards_weights(stage, name):
    plugin = stage and SimpleNamespace(zero_stage=stage)
    assert sharding_of(SimpleNamespace(fsdp=[], deepspeed_plugin=plugin)) == name


@pytest.mark.parametrize(("value", "name"), [("true", "FSDP"), ("1", "FSDP"), ("false", "")])
def test_accelerate_says_by_a_variable_that_it_launched_fsdp(monkeypatch, value, name):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", value)
    assert sharding_of(SimpleNamespace(fsdp=[])) == name


def test_fsdp_may_be_a_setting():
    assert sharding_of(SimpleNamespace(fsdp=["full_shard"])) == "FSDP"
