"""A row that stands in runs the vision tower, and changes nothing else."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import ClassVar

import pytest
import tiny_vision
import torch
from peft import get_peft_model

from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.groups.token_statistics import add_token_statistics
from rl.training import stand_in_image
from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages
from rl.training.shared_prompts import share_prompts
from rl.training.stand_in_image import (
    StandIn,
    add_stand_in,
    check_router_loss,
    give_stand_in,
    waits_in_tower,
)
from rl.training.vision_tower import freeze_vision, lora_config
from rl.trl_internals import add_fused_lm_head

IDS = [3, 4, 5, 6, 7, 8, 9, 10]


@pytest.fixture
def make():
    """Build a model as a trainer has it, and the list of its tower's calls."""

    def build(is_sharded=True, frozen=False, stands_in=True, shares=False):
        model = tiny_vision.make_model()
        add_fused_lm_head(model, outputs=("log_probs", "entropy"))
        add_token_statistics(model, 1.0)
        inputs = ImageInputs(tiny_vision.make_processor())
        if shares:
            main = SimpleNamespace(is_main_process=True)
            assert share_prompts([model], main, images=RunImages(inputs))
        if frozen:
            freeze_vision(model)
        if stands_in:
            stand_in = StandIn(inputs, as_number=shares)
            give_stand_in(model, stand_in, is_sharded)
        calls = []
        model.model.vision_model.register_forward_hook(lambda *_: calls.append(1))
        return model, calls

    return build


def rows(length):
    """Two rows, of which the first is padded on both sides; the last half of each is scored."""
    ids = torch.tensor([IDS[:length], IDS[::-1][:length]])
    mask = torch.ones_like(ids)
    mask[0, 0] = mask[0, -1] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, : length // 2] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


# The row that stands in has 8 tokens: 7 of its image and an end.
@pytest.mark.parametrize("length", [4, 8])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("shares", [False, True])
def test_values_and_gradients_are_those_without_it(make, length, frozen, shares):
    found = []
    for stands_in in (False, True):
        model, calls = make(frozen=frozen, stands_in=stands_in, shares=shares and stands_in)
        outputs = model(**rows(length), fused_lm_head=True)
        assert outputs.log_probs.shape == outputs.entropy.shape == (2, length - 1)
        outputs.log_probs.sum().backward()
        assert len(calls) == stands_in
        found.append((model, outputs))
    (plain, expected), (model, outputs) = found
    assert torch.allclose(outputs.log_probs, expected.log_probs, atol=1e-6)
    assert torch.allclose(outputs.entropy, expected.entropy, atol=1e-6)
    tower = {
        f"model.{name}" for name, _ in model.model.named_parameters() if "text_model" not in name
    }
    for (name, own), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        if name in tower:
            assert other.grad is None
            assert own.grad is None if frozen else own.grad.abs().max() == 0, name
        else:
            assert torch.allclose(own.grad, other.grad, atol=1e-5), name


def test_it_is_packed_with_rows_that_share_their_prompt(make):
    model, calls = make(shares=True)
    positions = []
    model.model.text_model.layers[0].register_forward_hook(
        lambda layer, given, output: positions.append(tuple(output.shape[:2]))
    )
    ids = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10, 11], [3, 4, 5, 6, 7, 8, 9, 11, 10]])
    labels = ids.clone()
    labels[:, :7] = -100
    asked = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    model(**asked, fused_lm_head=True)
    # The prompt once, 7, of each completion of two tokens the first, and the image's 7 tokens.
    assert positions == [(1, 7 + 2 + 7)]
    with torch.no_grad():
        model(**asked, token_statistics=True)
    assert positions[1:] == positions[:1]
    assert len(calls) == 2


def test_a_call_with_images_is_as_it_was(make):
    inputs = ImageInputs(tiny_vision.make_processor())
    pixels = inputs.pixels([read_image(tiny_vision.picture(0), "here")])
    ids = torch.tensor([inputs.image_tokens(20, 12) + IDS])
    asked = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids, **pixels}
    found = []
    for stands_in in (False, True):
        model, calls = make(stands_in=stands_in)
        found.append(model(**asked, fused_lm_head=True).log_probs)
        assert len(calls) == 1
    assert torch.equal(*found)


@pytest.mark.parametrize("shares", [False, True])
def test_statistics_are_those_without_it(make, shares):
    found = []
    for stands_in in (False, True):
        model, calls = make(stands_in=stands_in, shares=shares and stands_in)
        with torch.no_grad():
            found.append(model(**rows(6), token_statistics=True))
        assert len(calls) == stands_in
    assert found[0].shape == found[1].shape == (3, 2, 5)
    scored = rows(6)["labels"][:, 1:] != -100
    assert torch.allclose(found[0][:, scored], found[1][:, scored], atol=1e-6)


def test_it_runs_where_ranks_wait_alone(make):
    model, calls = make(is_sharded=False)
    with torch.no_grad():  # whole weights: no rank waits
        model(**rows(4), fused_lm_head=True)
    assert calls == []
    model(**rows(4), fused_lm_head=True)
    assert len(calls) == 1
    model(input_ids=rows(4)["input_ids"])  # as an engine samples
    assert len(calls) == 1


def test_ranks_wait_in_a_tower_that_is_sharded_or_trained(tmp_path, monkeypatch):
    frozen = LabelFreeConfig(output_dir=str(tmp_path))
    trained = LabelFreeConfig(output_dir=str(tmp_path), freeze_vision_tower=False)
    assert waits_in_tower(trained, 2)
    assert not waits_in_tower(trained, 1)
    assert not waits_in_tower(frozen, 2)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert waits_in_tower(frozen, 2)


@pytest.fixture
def make_lora(tmp_path):
    """Build a model under LoRA, of which only the settings of LoRA say whether its tower trains."""

    def build(**more):
        model = tiny_vision.make_model()
        adapters = lora_config({"r": 2, "target_modules": ["q_proj"], **more}, model, True)
        return get_peft_model(model, adapters).get_base_model()

    return build


def test_ranks_wait_in_a_tower_that_lora_trains_in_part(tmp_path, make_lora):
    frozen = LabelFreeConfig(output_dir=str(tmp_path))
    for more, waits in (
        ({}, False),
        ({"modules_to_save": ["lm_head"]}, False),
        ({"modules_to_save": ["connector"]}, True),
        ({"exclude_modules": []}, True),
    ):
        assert waits_in_tower(frozen, 2, [make_lora(**more)]) == waits


class Sizes:
    """Images of rows by their sizes, of two rows with an image and one without."""

    sizes: ClassVar = {0: [(8, 8)], 1: [], 2: [(8, 8)]}


def with_router_loss(model_config):
    model_config.text_config.output_router_logits = False
    model_config.text_config.router_aux_loss_coef = 0.001
    return model_config


def test_a_router_s_loss_would_see_it(tmp_path):
    config = LabelFreeConfig(output_dir=str(tmp_path), freeze_vision_tower=False)
    model_config = tiny_vision.make_model().config
    check_router_loss(config, model_config, Sizes, 2)
    with_router_loss(model_config)
    check_router_loss(config, model_config, Sizes, 1)
    with pytest.raises(InputError, match=r"router_aux_loss_coef: got 0\.001 .* on 2 ranks"):
        check_router_loss(config, model_config, Sizes, 2)
    all_have_images = SimpleNamespace(sizes={0: [(8, 8)]})
    check_router_loss(config, model_config, all_have_images, 2)
    config.router_aux_loss_coef = 0.0
    check_router_loss(config, model_config, Sizes, 2)


def test_a_router_s_loss_would_see_it_where_lora_trains_the_tower(tmp_path, make_lora, monkeypatch):
    """Which only the model with its adapters tells, so it is asked again once there is one."""
    monkeypatch.setattr(stand_in_image, "PartialState", lambda: SimpleNamespace(num_processes=2))
    config = LabelFreeConfig(output_dir=str(tmp_path))
    images = RunImages(ImageInputs(tiny_vision.make_processor()), Sizes)
    for more, is_refused in (({}, False), ({"exclude_modules": []}, True)):
        model = make_lora(**more)
        with_router_loss(model.config)
        check_router_loss(config, model.config, Sizes, 2)
        expected = pytest.raises(InputError, match=r"on 2 ranks") if is_refused else nullcontext()
        with expected:
            add_stand_in([model], images, config)
