"""A model's weights in full: once each, under checkpoint names, adapters merged in."""

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model

from rl.rollouts.weights import full_parameters, trained_parameters


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def read(model, accelerator):
    return {name: value.clone() for name, value in full_parameters(model, accelerator)}


@pytest.mark.parametrize("tied", [True, False])
def test_each_weight_once_under_its_checkpoint_name(make_tiny_model, accelerator, tied):
    model = make_tiny_model(tied)
    found = read(model, accelerator)
    expected = model.state_dict()
    assert set(expected) - set(found) == ({"lm_head.weight"} if tied else set())
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("modules_to_save", [None, ["lm_head"]])
def test_adapters_are_merged_in_and_taken_out_again(make_tiny_model, accelerator, modules_to_save):
    base = {name: value.clone() for name, value in make_tiny_model(False).state_dict().items()}
    lora = LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], modules_to_save=modules_to_save
    )
    model = get_peft_model(make_tiny_model(False), lora)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.add_(0.1)
    held = {name: value.clone() for name, value in model.state_dict().items()}
    found = read(model, accelerator)
    assert found.keys() == base.keys()
    for name, value in base.items():
        layer = name.removesuffix(".weight")
        expected = value
        if name.endswith(("q_proj.weight", "down_proj.weight")):
            a = held[f"base_model.model.{layer}.lora_A.default.weight"]
            b = held[f"base_model.model.{layer}.lora_B.default.weight"]
            expected = value + 12 / 4 * b @ a
            assert not torch.equal(found[name], value)
        elif modules_to_save and layer in modules_to_save:
            expected = value + 0.1
        torch.testing.assert_close(found[name], expected)
    after = model.state_dict()
    for name, value in held.items():
        torch.testing.assert_close(after[name], value)


def test_what_is_trained_under_its_own_name(make_tiny_model, accelerator):
    model = get_peft_model(make_tiny_model(True), LoraConfig(r=4, target_modules=["q_proj"]))
    found = dict(trained_parameters(model, accelerator))
    assert len(found) == 4  # two factors of each of two layers
    assert all("lora_" in name for name in found)
    own = dict(model.named_parameters())
    assert all(torch.equal(value, own[name]) for name, value in found.items())
