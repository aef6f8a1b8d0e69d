"""Tensors that somebody's code returns."""

import pytest
import torch

from rl.errors import InputError
from rl.training.plugin_tensors import expect_weights, tensor_of

MASK = torch.tensor([[1, 1, 0]])


def test_what_stands_outside_the_mask_has_no_weight_whatever_it_is():
    found = expect_weights("mine", torch.tensor([[0.5, 2.0, float("nan")]]), MASK)
    assert found.tolist() == [[0.5, 2.0, 0.0]]
    assert expect_weights("mine", MASK.bool(), MASK).tolist() == [[1, 1, 0]]
    assert expect_weights("mine", torch.zeros(0, 3), MASK[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([[1.0, 1.0, 1.0]], r"got a list, expected a tensor \(1, 3\)"),
        (torch.ones(1), r"got a tensor \(1,\), expected a tensor \(1, 3\)"),
        (torch.tensor([[1.0, float("nan"), 1.0]]), "got the weight nan, expected finite"),
        (torch.tensor([[1.0, -2.0, 1.0]]), "got the weight -2, expected finite"),
    ],
)
def test_what_is_no_weight(found, message):
    with pytest.raises(InputError, match=f"^mine: {message}"):
        expect_weights("mine", found, MASK)


def test_a_tensor_is_called_for():
    assert tensor_of("mine", torch.neg, torch.ones(2), shape=torch.Size([2])).tolist() == [-1, -1]
    with pytest.raises(InputError, match=r"^mine: got ZeroDivisionError"):
        tensor_of("mine", lambda: 1 / 0, shape=torch.Size([2]))
