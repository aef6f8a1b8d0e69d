"""Where a layer's gradient lies when an optimizer steps: whole, or sharded by FSDP2 or ZeRO."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate
from torch.optim import Optimizer

from rl.errors import InputError


class Gradients(Protocol):
    """Reaches the gradients that optimizers are about to step on."""

    optimizers: Sequence[Optimizer]

    def keep_rows(self, optimizer: Optimizer, weight: Tensor, kept: Tensor) -> None:
        """Set rows of a matrix's gradient to 0, in the part of it that this optimizer has here.

        Args:
            optimizer: One of `optimizers`, about to step.
            weight: The matrix, (D, K).
            kept: The rows that are left as they are, (D,), bool.
        """
        ...


class OwnGradients:
    """Gradients that the parameters hold themselves, whole or as FSDP2's shards.

    Args:
        optimizer: Not wrapped.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizers: Sequence[Optimizer] = [optimizer]

    def keep_rows(self, optimizer: Optimizer, weight: Tensor, kept: Tensor) -> None:
        """See `Gradients`; a matrix without a gradient has none to mask."""
        gradient = weight.grad
        if gradient is None:
            return
        factors = kept[:, None].to(gradient.device, gradient.dtype)
        if isinstance(gradient, DTensor):
            mesh = gradient.device_mesh
            factors = DTensor.from_local(factors, mesh, [Replicate()] * mesh.ndim, run_check=False)
        gradient.mul_(factors)


class ZeroGradients:
    """Gradients in ZeRO's flat partitions, of which each rank has a part and steps on it alone.

    By the time that the optimizer within ZeRO steps they are reduced over the ranks, clipped, and
    in one tensor with parts of other parameters. ZeRO lets it step on one such tensor at a time.
    DeepSpeed's public functions (`deepspeed.utils.safe_set_full_grad` and others) reach gradients
    before they are clipped only, and so would change the norm that clipping reads. Read of
    DeepSpeed 0.19: `_hp_mapping` of a parameter, and of the stages' optimizers
    `single_partition_of_fp32_groups`, `fp32_partitioned_groups_flat`, `grad_position`.

    Args:
        zero: DeepSpeed's optimizer of stage 1, 2 or 3.
    """

    def __init__(self, zero: Any) -> None:
        self.zero = zero
        # Stage 3 has a second one where a part of the optimizer's state is offloaded.
        found = (zero.optimizer, getattr(zero, "backup_optimizer", None))
        self.optimizers: Sequence[Optimizer] = [
            optimizer for optimizer in found if optimizer is not None
        ]

    def keep_rows(self, optimizer: Optimizer, weight: Tensor, kept: Tensor) -> None:
        """See `Gradients`."""
        find = _in_stage_3 if hasattr(weight, "ds_id") else _in_stage_1_or_2
        flat, start, first, size = find(self.zero, weight)
        steps_on = (tensor for group in optimizer.param_groups for tensor in group["params"])
        if size <= 0 or not any(tensor is flat for tensor in steps_on):
            return
        num_columns = getattr(weight, "ds_shape", weight.shape)[1]
        first_row, end_row = first // num_columns, -(-(first + size) // num_columns)
        part = flat.grad.narrow(0, start, size)
        of_rows = kept[first_row:end_row].to(part.device).repeat_interleave(num_columns)
        part.mul_(of_rows.narrow(0, first - first_row * num_columns, size).to(part.dtype))


def gradients_of(optimizer: Any) -> Gradients:
    """Say where the gradients are that an optimizer steps on.

    Args:
        optimizer: Of the trainer, in Accelerate's wrapper.

    Raises:
        InputError: If DeepSpeed wraps it in something else than ZeRO.
    """
    inner = optimizer.optimizer
    kind = type(inner)
    if not kind.__module__.startswith("deepspeed.runtime."):
        return OwnGradients(inner)
    # By their exact class: what derives from one may step otherwise.
    if kind.__name__ not in ("DeepSpeedZeroOptimizer", "DeepSpeedZeroOptimizer_Stage3"):
        raise InputError(
            f"gradient_mask: got a launch with DeepSpeed's {kind.__name__}, expected plain ZeRO of "
            "stage 1, 2 or 3. Launch with recipes/accelerate/zero2.yaml or zero3.yaml, or remove "
            "gradient_mask."
        )
    return ZeroGradients(inner)


def check_gradients_are_reached(accelerator: Accelerator) -> None:
    """Check that gradients can be masked by rows under the launch at hand.

    Raises:
        InputError: Under FSDP of version 1, which has no matrices, and under DeepSpeed without
            ZeRO.
    """
    kind = accelerator.distributed_type
    if kind == DistributedType.DEEPSPEED:
        plugin: Any = accelerator.state.deepspeed_plugin
        reached = plugin.zero_stage > 0
    else:
        reached = kind != DistributedType.FSDP or accelerator.is_fsdp2
    if not reached:
        raise InputError(
            f"gradient_mask: got a launch with {kind.value} that keeps no gradients by rows, "
            "expected one process, DDP, ZeRO of stage 1, 2 or 3, or FSDP of version 2. Launch with "
            "a file of recipes/accelerate, or remove gradient_mask."
        )


# Where a matrix lies on this rank: the flat tensor, the first number of the matrix's part in it,
# the first number of the part in the flattened matrix, and how many there are.
Place = tuple[Any, int, int, int]


def _in_stage_1_or_2(zero: Any, weight: Any) -> Place:
    mapping = weight._hp_mapping
    if mapping is None:  # another rank has all of it
        return None, 0, 0, 0
    flat = zero.single_partition_of_fp32_groups[mapping.param_group_index]
    inside, of_matrix = mapping.hp_fragment_address, mapping.lp_fragment_address
    return flat, inside.start, of_matrix.start, inside.numel


def _in_stage_3(zero: Any, weight: Any) -> Place:
    group, start, size = zero.grad_position[zero.get_param_id(weight)]
    first = torch.distributed.get_rank(weight.ds_process_group) * size
    # The last part is filled up to the size of the others.
    return (
        zero.fp32_partitioned_groups_flat[group],
        start,
        first,
        min(size, weight.ds_numel - first),
    )
