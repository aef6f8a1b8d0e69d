"""Tensors that somebody's code returns: what is wrong with one becomes a line that names it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rl.errors import InputError
from rl.plugins import call_plugin


def tensor_of(what: str, plugin: Callable[..., Any], *arguments: Any, shape: torch.Size) -> Tensor:
    """Call somebody's code for a tensor.

    Args:
        what: The code, for messages.
        plugin: What is called.
        *arguments: What it is called with.
        shape: Of the tensor.

    Raises:
        InputError: If it raises anything, or returns anything but a tensor of that shape.
    """
    found = call_plugin(what, plugin, *arguments)
    return expect_tensor(what, found, shape)


def expect_tensor(what: str, found: Any, shape: torch.Size) -> Tensor:
    """Return what was returned, if it is a tensor of a shape; else raise `InputError`."""
    if not isinstance(found, Tensor) or found.shape != shape:
        is_tensor = isinstance(found, Tensor)
        got = f"a tensor {tuple(found.shape)}" if is_tensor else f"a {type(found).__name__}"
        raise InputError(
            f"{what}: got {got}, expected a tensor {tuple(shape)}. Mend what it returns."
        )
    return found


def expect_weights(what: str, found: Any, mask: Tensor) -> Tensor:
    """Return weights of tokens, 0 where there is no token, whatever was returned there.

    Args:
        what: The code that returned them, for messages.
        found: What it returned.
        mask: Not 0 at tokens, (B, T).

    Raises:
        InputError: If it is no tensor of the mask's shape, or a token's weight is negative or no
            finite number.
    """
    weights = expect_tensor(what, found, mask.shape)
    weights = torch.where(mask.bool(), weights, torch.zeros_like(weights)) * mask
    if not (torch.isfinite(weights) & (weights >= 0)).all():
        wrong = weights[~(torch.isfinite(weights) & (weights >= 0))][0].item()
        raise InputError(
            f"{what}: got the weight {wrong:g}, expected finite numbers of at least 0. Mend what "
            "it returns."
        )
    return weights
