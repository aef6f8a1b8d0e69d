"""Gradients of a real model, masked: which rows move, and which do not."""

from types import SimpleNamespace

import pytest
import tiny_vision
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from tiny_trainer import rows_of
from torch import nn
from transformers import TrainerState

from rl.data.image_inputs import ImageInputs
from rl.errors import InputError
from rl.training.gradient_masks.masking import GradientMasking, build_gradient_mask
from rl.training.gradient_masks.migu import Migu
from rl.training.run_images import RunImages
from rl.training.shared_prompts import share_prompts
from rl.training.stand_in_image import StandIn, give_stand_in
from rl.training.vision_tower import freeze_vision
from rl.trl_internals import add_fused_lm_head

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"\boxed{1}", "="]
LONG = [r"\boxed{1}", r"As it has to be one, the answer is \boxed{2}", r"\boxed{1}", "="]
SCORES = {"1+1=": [1.0, 0.0, 0.5, 0.0], "2+2=": [0.0, 1.0, 0.0, 0.2]}


class OneLayer(nn.Module):
    """y = W x, and a head that is not masked."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(2, 3), nn.Linear(3, 2, bias=False)

    def get_output_embeddings(self):
        return self.head

    def forward(self, x):
        return self.head(self.layer(x))


@pytest.fixture
def model():
    model = OneLayer()
    with torch.no_grad():
        model.layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -3.0], [1.0, 1.0]]))
        model.layer.bias.zero_()
    return model


class Masked:
    """A model's layer masked by a rule, and steps of plain gradient descent on it."""

    def __init__(self, model, rule):
        self.model, self.logged = model, {}
        self.masking = GradientMasking(rule, model, Accelerator(cpu=True), 0, self.logged.update)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        wrapped = SimpleNamespace(optimizer=self.optimizer)
        self.masking.on_train_begin(None, TrainerState(), None, optimizer=wrapped)

    def backward(self, *inputs, step=0):
        self.masking.on_step_begin(None, TrainerState(global_step=step), None)
        self.model.zero_grad()
        for values in inputs:
            self.model(torch.tensor(values)).sum().backward()

    def moved(self):
        """Which rows a step of the optimizer changes."""
        before = self.model.layer.weight.detach().clone()
        self.optimizer.step()
        return (self.model.layer.weight != before).any(dim=1).tolist()


def test_magnitudes_are_summed_over_tokens_and_micro_batches(model):
    masked = Masked(model, Migu(threshold=0.9))
    # Outputs of [1, 1]: 1, -3, 2. Of [2, -1]: 2, 3, 1. Sums of absolute values 3, 6, 3.
    masked.backward([[[1.0, 1.0]]], [[[2.0, -1.0]]])
    with torch.no_grad():
        model(torch.tensor([[[100.0, 0.0]]]))  # no gradient comes of it
    assert masked.masking.magnitudes["layer"].tolist() == [3.0, 6.0, 3.0]
    assert masked.moved() == [False, True, False]
    assert masked.logged == {"signal/masked_frac": pytest.approx(2 / 3)}
    assert model.layer.bias.grad.all()
    # The head's inputs add up to 1 + 2, -3 + 3 and 2 + 1.
    assert model.head.weight.grad.tolist() == [[3.0, 0.0, 3.0]] * 2
    # The next step begins anew.
    with torch.no_grad():
        model.layer.bias.zero_()
        model.layer.weight.copy_(torch.eye(3, 2))
    masked.backward([[[5.0, -7.0]]], step=1)
    assert masked.masking.magnitudes["layer"].tolist() == [5.0, 7.0, 0.0]


def test_first_steps_are_not_masked(model):
    masked = Masked(model, Migu(threshold=0.9, first_steps=2))
    for step, expected in ((1, [True] * 3), (2, [False, True, False])):
        masked.backward([[[1.0, 1.0]]], step=step)
        assert masked.moved() == expected
        with torch.no_grad():
            model.layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -3.0], [1.0, 1.0]]))


def test_a_gradient_that_is_not_there_is_left_out(model):
    masked = Masked(model, Migu())
    masked.backward([[[1.0, 1.0]]])
    model.zero_grad()
    assert masked.moved() == [False] * 3
    assert masked.logged == {"signal/masked_frac": pytest.approx(2 / 3)}


def test_a_step_in_parts_has_one_choice(model):
    """ZeRO steps on its partitions one after the other; what is chosen is chosen once."""
    masked = Masked(model, Migu(threshold=0.9))
    masked.backward([[[1.0, 1.0]]])
    assert masked.moved() == [False, True, False]
    masked.logged.clear()
    assert masked.moved() == [False, True, False]
    assert masked.logged == {}


@pytest.mark.parametrize("shares", [False, True])
def test_a_row_that_stands_in_counts_nothing(shares):
    ids = torch.tensor([[3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 8, 0]])
    labels = ids.masked_fill(ids == 0, -100)
    labels[:, :3] = -100
    asked = {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}
    found = []
    for stands_in in (False, True):
        model = tiny_vision.make_model()
        freeze_vision(model)
        add_fused_lm_head(model)
        inputs = ImageInputs(tiny_vision.make_processor())
        if shares:
            main = SimpleNamespace(is_main_process=True)
            assert share_prompts([model], main, images=RunImages(inputs))
        if stands_in:
            give_stand_in(model, StandIn(inputs, as_number=shares), is_sharded=True)
        masking = GradientMasking(Migu(), model.train(), Accelerator(cpu=True), 0, {}.update)
        model(**asked, fused_lm_head=True)
        found.append(torch.cat(list(masking.magnitudes.values())))
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-5)


def test_a_head_that_is_trained_beside_adapters_is_not_masked(make_tiny_model):
    adapters = LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = get_peft_model(make_tiny_model(tied=False), adapters)
    masking = GradientMasking(Migu(), model, Accelerator(cpu=True), 0, {}.update)
    assert len(masking.layers) == 4  # two factors in each of two layers
    assert not any("lm_head" in name for name in masking.layers)


def test_an_update_of_the_trainer_changes_the_kept_rows_alone(make_trainer):
    settings = {"gradient_mask": {"migu": {"threshold": 0.7}}, "max_steps": 1}
    trainer = make_trainer(COMPLETIONS, SCORES, **settings, learning_rate=1e-2, weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    changed = {
        name: (p.detach() != before[name]).any(dim=-1).float().mean().item()
        for name, p in trainer.model.named_parameters()
    }
    linear = [name for name in changed if "_proj" in name]
    assert len(linear) == 14
    assert all(0.25 < changed[name] < 0.35 for name in linear), changed
    assert changed["model.layers.0.input_layernorm.weight"] == 1.0
    assert len(rows_of(trainer)) == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"shared_prompts": True},
        {"per_device_train_batch_size": 1},
        {"max_tokens_per_micro_batch": 40},
    ],
    ids=["shared prompts", "one row at a time", "uneven micro-batches"],
)
def test_how_rows_are_run_does_not_change_which_are_kept(make_trainer, settings):
    """Neither padding nor filling counts, and a shared prompt counts for each of its rows."""
    scores = {**SCORES, "1+1=3=": [1.0, 1.0, 0.0, 0.5], "3+3=": [1.0] * 4}
    known = {"gradient_mask": {"migu": {}}, "max_steps": 1, "learning_rate": 1e-2}
    kept = []
    for more in ({"shared_prompts": False}, {"shared_prompts": False, **settings}):
        trainer = make_trainer(LONG, scores, **known, weight_decay=0.0, **more)
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.train()
        moved = [
            (p.detach() != before[name]).any(dim=-1)
            for name, p in trainer.model.named_parameters()
            if "_proj" in name
        ]
        kept.append(torch.cat(moved))
    # Sums round differently, which may turn a row at the border.
    assert (kept[0] != kept[1]).sum() <= 0.01 * len(kept[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "gradient_mask: got 0 names, expected one"),
        ({"migu": {}, "random_rows": {}}, "gradient_mask: got 2 names, expected one"),
        ({"mugi": {}}, "gradient_mask: got 'mugi', expected one of migu"),
        ({"migu": {"threshold": -1}}, "gradient_mask.migu.threshold: got -1"),
        ({"subprocess:Popen": {}}, "expected a function or class with a parameter first_steps"),
    ],
)
def test_bad_settings_get_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        build_gradient_mask(settings)
