import pytest
import tiny_vision
import torch
from peft import get_peft_model

from rl.training.vision_tower import freeze_vision, lora_config, vision_modules


@pytest.fixture
def model():
    return tiny_vision.make_model()


def test_the_language_model_and_its_head_are_trained(model, make_tiny_model):
    assert vision_modules(model) == ["model.vision_model", "model.connector"]
    freeze_vision(model)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.split(".")[1] for name in frozen} == {"vision_model", "connector"}
    assert frozen == {n for n, _ in model.named_parameters() if "vision" in n or "connector" in n}
    text = make_tiny_model()
    freeze_vision(text)
    assert vision_modules(text) == []
    assert all(p.requires_grad for p in text.parameters())


@pytest.mark.parametrize("targets", [{}, {"target_modules": "all-linear"}])
def test_adapters_are_the_language_model_s(model, targets):
    adapted = get_peft_model(model, lora_config({"r": 2, **targets}, model, leaves_vision_out=True))
    names = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert names
    assert {name for name in names if "text_model" not in name} == set()


def test_adapters_go_where_they_are_asked_for(model):
    settings = {"r": 2, "target_modules": "all-linear"}
    everywhere = get_peft_model(model, lora_config(settings, model, leaves_vision_out=False))
    assert any("vision_model" in n for n, p in everywhere.named_parameters() if p.requires_grad)
    model = tiny_vision.make_model()
    own = {**settings, "exclude_modules": ["proj"]}
    chosen = get_peft_model(model, lora_config(own, model, leaves_vision_out=True))
    names = [n for n, p in chosen.named_parameters() if p.requires_grad]
    assert any("vision_model" in name for name in names)
    assert not any("connector" in name for name in names)


def test_a_frozen_encoder_gets_no_gradient_and_the_language_model_does(model):
    freeze_vision(model)
    ids = torch.tensor([[5, *[model.config.image_token_id] * 4, 6]])
    model(input_ids=ids, pixel_values=torch.rand(1, 1, 3, 16, 16)).logits.sum().backward()
    assert {p.grad is None for p in model.model.vision_model.parameters()} == {True}
    assert model.lm_head.weight.grad.norm() > 0
