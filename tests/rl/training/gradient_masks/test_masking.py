"""Gradients of a real model, masked: which rows move, and which do not."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator, DistributedType
from tiny_trainer import rows_of
from torch import nn

from rl.errors import InputError
from rl.training.gradient_masks.masking import GradientMasking, build_gradient_mask
from rl.training.gradient_masks.migu import Migu

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"\boxed{1}", "="]
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


def backward(model, *inputs):
    for values in inputs:
        model(torch.tensor(values)).sum().backward()


def moved(model):
    return (model.layer.weight.grad != 0).any(dim=1).tolist()


def test_magnitudes_are_summed_over_tokens_and_micro_batches(model):
    masking = GradientMasking(Migu(threshold=0.5), model, Accelerator(cpu=True), 0)
    # Outputs of [1, 1]: 1, -3, 2. Of [2, -1]: 2, 3, 1. Sums of absolute values 3, 6, 3.
    backward(model, [[[1.0, 1.0]]], [[[2.0, -1.0]]])
    with torch.no_grad():
        model(torch.tensor([[[100.0, 0.0]]]))  # no gradient comes of it
    assert masking.magnitudes["layer"].tolist() == [3.0, 6.0, 3.0]
    masking.rule = Migu(threshold=0.9)
    assert masking.apply(0) == {"signal/masked_frac": pytest.approx(2 / 3)}
    assert moved(model) == [False, True, False]
    assert model.layer.bias.grad.all()
    # The head's inputs add up to 1 + 2, -3 + 3 and 2 + 1.
    assert model.head.weight.grad.tolist() == [[3.0, 0.0, 3.0]] * 2
    # The next step begins anew.
    assert masking.magnitudes["layer"].tolist() == [0.0] * 3


def test_first_steps_are_not_masked(model):
    rule = Migu(threshold=0.9, first_steps=2)
    masking = GradientMasking(rule, model, Accelerator(cpu=True), 0)
    for step, expected in ((1, [True] * 3), (2, [False, True, False])):
        model.zero_grad()
        backward(model, [[[1.0, 1.0]]])
        masking.apply(step)
        assert moved(model) == expected


def test_a_gradient_that_is_not_there_is_left_out(model):
    masking = GradientMasking(Migu(), model, Accelerator(cpu=True), 0)
    backward(model, [[[1.0, 1.0]]])
    for parameter in model.parameters():
        parameter.grad = None
    assert masking.apply(0) == {"signal/masked_frac": pytest.approx(2 / 3)}


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


@pytest.mark.parametrize("kind", [DistributedType.DEEPSPEED, DistributedType.FSDP])
def test_a_launch_that_hides_gradients_is_refused(model, kind):
    with pytest.raises(InputError, match=f"got a launch with {kind.value}, expected one process"):
        GradientMasking(Migu(), model, SimpleNamespace(distributed_type=kind), 0)
