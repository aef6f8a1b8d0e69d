"""Means over an optimizer step, by hand."""

import pytest
import torch
from accelerate import Accelerator

from rl.training.step_means import StepMeans


def pair(total, weight):
    return torch.tensor(total), torch.tensor(weight)


def test_a_micro_batch_counts_by_what_it_holds():
    means = StepMeans(Accelerator(cpu=True))
    assert means.finish() == {}
    # Three tokens of 2 and one of 6: 12 / 4. A filling micro-batch holds none.
    means.add({"signal/term": pair(6.0, 3.0), "kl": pair(1.0, 4)})
    means.add({"signal/term": pair(0.0, 0.0), "kl": pair(0.0, 0)})
    means.add({"signal/term": pair(6.0, 1.0), "kl": pair(2.0, 2)})
    assert means.finish() == {"signal/term": 3.0, "kl": 0.5}
    # The next step begins anew; of nothing there is no mean.
    means.add({"signal/term": pair(0.0, 0.0), "kl": pair(-0.25, 1)})
    assert means.finish() == {"kl": -0.25}
    assert means.finish() == {}


def test_it_holds_no_graph():
    weight = torch.tensor(2.0, requires_grad=True)
    means = StepMeans(Accelerator(cpu=True))
    means.add({"signal/term": (weight * 3.0, torch.tensor(1.0))})
    assert not any(sums.requires_grad for sums in means._sums.values())
    assert means.finish() == {"signal/term": pytest.approx(6.0)}
