"""A fingerprint of a model's weights: proof that the sampler holds what the trainer trained."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def weight_fingerprint(parameters: Iterable[Tensor], dtype: torch.dtype) -> tuple[float, float]:
    """Sum all weights and all their magnitudes, rounded to `dtype` first.

    (sum_i w_i, sum_i |w_i|)

    Both sums stay the same when matrices are fused, reordered or padded with zeros, which is what
    vLLM does to them, and change when any training step changes a weight.

    Args:
        parameters: The weights, each parameter once.
        dtype: Precision in which the sampler holds them.

    Returns:
        The two sums, added up in float64.
    """
    total = magnitude = 0.0
    for parameter in parameters:
        rounded = parameter.detach().to(dtype).double()
        total += rounded.sum().item()
        magnitude += rounded.abs().sum().item()
    return total, magnitude


def same_fingerprint(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two fingerprints agree up to the rounding of sums in another order."""
    scale = max(abs(a[1]), abs(b[1]))
    return all(
        math.isclose(x, y, rel_tol=0, abs_tol=1e-10 * scale) for x, y in zip(a, b, strict=True)
    )
