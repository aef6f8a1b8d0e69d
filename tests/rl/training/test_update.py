"""Updates that are not made, weights that are no numbers, learning rates that are changed."""

import math

import pytest
import torch
from accelerate import Accelerator
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from rl.training.update import all_finite, kept_schedule, scale_schedule, skip_if_not_finite


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


@pytest.mark.parametrize("norm", [math.nan, math.inf, torch.tensor(-math.inf)])
def test_a_gradient_that_is_no_number_changes_nothing(accelerator, norm):
    model = torch.nn.Linear(2, 1)
    optimizer = AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()  # it has moments from here on
    before = [p.clone() for p in model.parameters()]
    moments = {k: v["exp_avg"].clone() for k, v in optimizer.state.items()}
    model.weight.grad.fill_(math.nan)
    assert skip_if_not_finite(norm, model, accelerator) == {"signal/update_skipped": 1.0}
    optimizer.step()
    assert all(map(torch.equal, model.parameters(), before))
    assert all(torch.equal(optimizer.state[k]["exp_avg"], v) for k, v in moments.items())


def test_a_finite_gradient_is_kept(accelerator):
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    assert skip_if_not_finite(torch.tensor(3.0), model, accelerator) == {}
    assert model.weight.grad is not None


def test_weights_are_looked_at_one_by_one(accelerator):
    model = torch.nn.Linear(2, 2)
    assert all_finite([], accelerator)
    assert all_finite([*model.parameters(), torch.empty(0)], accelerator)
    with torch.no_grad():
        model.bias[1] = math.inf
    assert not all_finite(model.parameters(), accelerator)


def halving(optimizer):
    return LambdaLR(optimizer, lambda step: 0.5**step)


def test_a_scaled_schedule_is_scaled_to_its_end_and_in_a_checkpoint():
    optimizer = AdamW(torch.nn.Linear(1, 1).parameters(), lr=0.8)
    schedule = halving(optimizer)
    optimizer.step()
    schedule.step()
    scale_schedule(schedule, optimizer, 0.25)
    # 0.8 / 2 / 4, and halved with the next step.
    assert optimizer.param_groups[0]["lr"] == schedule.get_last_lr()[0] == pytest.approx(0.1)
    resumed = AdamW(torch.nn.Linear(1, 1).parameters(), lr=0.8)
    again = halving(resumed)
    again.load_state_dict(schedule.state_dict())
    for one, steps in ((optimizer, schedule), (resumed, again)):
        one.step()
        steps.step()
        assert one.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_schedule_survives_what_is_loaded():
    optimizer = AdamW(torch.nn.Linear(1, 1).parameters(), lr=0.8)
    schedule = halving(optimizer)
    old = optimizer.state_dict(), schedule.state_dict()
    optimizer.step()
    schedule.step()
    with kept_schedule(schedule, optimizer):
        optimizer.load_state_dict(old[0])
        schedule.load_state_dict(old[1])
        assert optimizer.param_groups[0]["lr"] == 0.8
    assert optimizer.param_groups[0]["lr"] == schedule.get_last_lr()[0] == 0.4
