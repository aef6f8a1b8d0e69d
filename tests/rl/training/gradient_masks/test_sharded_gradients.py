"""Rows of a matrix found in parts of flat tensors, by hand; real ranks are in end_to_end."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import DistributedType
from torch import nn

from rl.errors import InputError
from rl.training.gradient_masks.sharded_gradients import (
    OwnGradients,
    ZeroGradients,
    check_gradients_are_reached,
    gradients_of,
)

KEPT = torch.tensor([True, False, True, False])


def partition(size):
    """A flat tensor whose gradient is 1, 2, 3, ..., and an optimizer about to step on it."""
    flat = nn.Parameter(torch.zeros(size))
    flat.grad = torch.arange(1.0, size + 1)
    return flat, torch.optim.SGD([flat], lr=1.0)


def placed(flat, optimizer, in_flat, in_matrix, size):
    """ZeRO's stage 2 with 4 x 3 numbers, of which `size` lie in the partition at `in_flat`."""
    weight = nn.Parameter(torch.zeros(4, 3))
    weight._hp_mapping = SimpleNamespace(
        param_group_index=0,
        hp_fragment_address=SimpleNamespace(start=in_flat, numel=size),
        lp_fragment_address=SimpleNamespace(start=in_matrix, numel=size),
    )
    zero = SimpleNamespace(optimizer=optimizer, single_partition_of_fp32_groups=[flat])
    return ZeroGradients(zero), weight


@pytest.mark.parametrize(
    ("in_flat", "in_matrix", "size", "expected"),
    [
        # Whole: rows 1 and 3 are numbers 3 to 5 and 9 to 11 of the matrix.
        (0, 0, 12, [1, 2, 3, 0, 0, 0, 7, 8, 9, 0, 0, 0, 13]),
        # From the last number of row 1 to the first of row 3, behind two numbers of another matrix.
        (2, 5, 5, [1, 2, 0, 4, 5, 6, 0, 8, 9, 10, 11, 12, 13]),
        # Within row 1, and within row 2.
        (4, 4, 1, [1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12, 13]),
        (4, 7, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (0, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
    ],
)
def test_rows_in_a_part_of_a_matrix(in_flat, in_matrix, size, expected):
    flat, optimizer = partition(13)
    gradients, weight = placed(flat, optimizer, in_flat, in_matrix, size)
    gradients.keep_rows(optimizer, weight, KEPT)
    assert flat.grad.tolist() == expected


def test_another_partition_than_the_one_at_hand_is_left_alone():
    flat, _ = partition(12)
    _, other = partition(12)
    gradients, weight = placed(flat, other, 0, 0, 12)
    gradients.keep_rows(other, weight, KEPT)
    assert flat.grad.tolist() == list(range(1, 13))
    weight._hp_mapping = None  # all of it is on another rank
    gradients.keep_rows(other, weight, KEPT)


def test_a_matrix_with_its_own_gradient():
    weight = nn.Parameter(torch.zeros(4, 2, dtype=torch.bfloat16))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    gradients = gradients_of(SimpleNamespace(optimizer=optimizer))
    assert isinstance(gradients, OwnGradients)
    gradients.keep_rows(optimizer, weight, KEPT)
    assert weight.grad is None
    weight.grad = torch.ones(4, 2, dtype=torch.bfloat16)
    gradients.keep_rows(optimizer, weight, KEPT)
    assert weight.grad.tolist() == [[1, 1], [0, 0], [1, 1], [0, 0]]


def launch(kind, zero_stage=0, is_fsdp2=False):
    plugin = SimpleNamespace(zero_stage=zero_stage)
    state = SimpleNamespace(deepspeed_plugin=plugin)
    return SimpleNamespace(distributed_type=kind, is_fsdp2=is_fsdp2, state=state)


def test_a_launch_without_rows_is_refused():
    check_gradients_are_reached(launch(DistributedType.DEEPSPEED, zero_stage=3))
    check_gradients_are_reached(launch(DistributedType.FSDP, is_fsdp2=True))
    check_gradients_are_reached(launch(DistributedType.MULTI_GPU))
    for kind in (DistributedType.DEEPSPEED, DistributedType.FSDP):
        with pytest.raises(InputError, match=f"got a launch with {kind.value} that keeps no grad"):
            check_gradients_are_reached(launch(kind))


def test_another_optimizer_of_deepspeed_is_refused():
    kind = type("BF16_Optimizer", (), {"__module__": "deepspeed.runtime.bf16_optimizer"})
    with pytest.raises(InputError, match="got a launch with DeepSpeed's BF16_Optimizer"):
        gradients_of(SimpleNamespace(optimizer=kind()))
