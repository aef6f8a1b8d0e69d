"""Random rows: the control of MIGU, which updates as many rows of any size."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl.settings import Share, StepsOrNone, checked


@checked
@dataclass(frozen=True, kw_only=True)
class RandomRows:
    """Keep the gradient of random rows of each linear layer, others in each optimizer step.

    Source: `random_update` of MIGU's code, wenyudu/MIGU@6c05b06, src/accelerate_local.py: of D rows
    the integer part of threshold D is masked. Differs: all ranks draw the same rows.

    Attributes:
        threshold: Share of a layer's rows that is not updated.
        first_steps: Optimizer steps at the beginning that are not masked.
    """

    threshold: Share = 0.7
    first_steps: StepsOrNone = 0

    def keep(self, magnitudes: Tensor, seed: int) -> Tensor:
        """Choose rows of a layer.

        Args:
            magnitudes: One number a row, (D,); only how many there are counts.
            seed: Of this layer and this step.

        Returns:
            Which rows are updated, (D,), bool.
        """
        num_rows = len(magnitudes)
        order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
        kept = torch.ones(num_rows, dtype=torch.bool)
        kept[order[: int(num_rows * self.threshold)]] = False
        return kept.to(magnitudes.device)
