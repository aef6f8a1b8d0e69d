"""Means over all tokens of an optimizer step, whichever micro-batch and rank they are in."""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

# A sum of weighted values, and the sum of their weights.
WeightedSum = tuple[Tensor, Tensor]


class StepMeans:
    """Adds weighted sums of micro-batches up until an update is made.

    mean = sum of w x / sum of w, over the micro-batches of all ranks

    So a micro-batch counts by what it holds, and one that only fills a step up counts nothing.

    Args:
        accelerator: Knows the other ranks.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self._sums: dict[str, Tensor] = {}

    def add(self, sums: Mapping[str, WeightedSum]) -> None:
        """Add those of a micro-batch; all ranks have the same names in an optimizer step."""
        for name, pair in sums.items():
            both = torch.stack([part.detach().float() for part in pair])
            self._sums[name] = self._sums.get(name, 0.0) + both

    def finish(self) -> dict[str, float]:
        """Return the means since the last call, without those of no weight; a call of all ranks."""
        sums, self._sums = self._sums, {}
        if not sums:
            return {}
        reduced: Any = self.accelerator.reduce(torch.stack(list(sums.values())), reduction="sum")
        pairs = zip(sums, reduced.tolist(), strict=True)
        return {name: total / weight for name, (total, weight) in pairs if weight > 0}
