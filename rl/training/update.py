"""What may go wrong with an update: gradients and weights that are no numbers, too high a rate.

One rule for numbers that are none: a reward, and a loss, make the gradient none, no update is made
with it, and the guard `non_finite` counts. So the weights stay those before it.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor


def skip_if_not_finite(
    grad_norm: Any, model: torch.nn.Module, accelerator: Accelerator
) -> dict[str, float]:
    """Let the optimizer make no update with a gradient that is not finite.

    Without gradients it passes over its parameters, and so leaves its own state alone too. All
    ranks know the same norm, so all do this in the same step. Under DeepSpeed the update is behind
    us: ZeRO skips one whose norm is not finite itself. With float16 the gradient scaler does, and
    looks for its scale by doing so: nothing is done then, and nothing counted.

    Args:
        grad_norm: Of all gradients of all ranks, a number or a tensor of one.
        model: Holds the gradients.
        accelerator: Knows the precision.

    Returns:
        signal/update_skipped 1.0, or nothing.
    """
    if math.isfinite(grad_norm) or accelerator.mixed_precision == "fp16":
        return {}
    for parameter in model.parameters():
        parameter.grad = None
    return {"signal/update_skipped": 1.0}


def all_finite(parameters: Iterable[Tensor], accelerator: Accelerator) -> bool:
    """Whether all parameters of all ranks are finite; every rank must call it.

    Of sharded parameters each rank looks at its part. Parts that lie elsewhere between two passes,
    as under ZeRO-3, are not seen.
    """
    local = [_local(parameter.detach()) for parameter in parameters]
    with torch.no_grad():
        finite = [part.isfinite().all() for part in local if part.numel()]
    here = torch.stack(finite).all() if finite else torch.tensor(True, device=accelerator.device)
    count = torch.as_tensor(accelerator.reduce((~here).float().to(accelerator.device)))
    return not count.item()


@contextmanager
def kept_schedule(schedule: Any, optimizer: Any) -> Iterator[None]:
    """Keep the learning rate and its schedule, whatever is loaded into both meanwhile."""
    state = schedule.state_dict()
    rates = [group["lr"] for group in optimizer.param_groups]
    yield
    schedule.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def scale_schedule(schedule: Any, optimizer: Any, factor: float) -> None:
    """Multiply the learning rate of all steps to come; the optimizer gets that of the next one.

    Args:
        schedule: With base learning rates, as all of transformers' schedules by name have; another
            one has a rule of its own, and only the next step is changed.
        optimizer: Its optimizer.
        factor: What to multiply with.
    """
    state = schedule.state_dict()
    if "base_lrs" not in state:
        for group in optimizer.param_groups:
            group["lr"] *= factor
        return
    for name in ("base_lrs", "_last_lr"):
        state[name] = [rate * factor for rate in state[name]]
    schedule.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, state["_last_lr"], strict=True):
        group["lr"] = rate


def _local(parameter: Any) -> Tensor:
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter
