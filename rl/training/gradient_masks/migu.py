"""MIGU: update only the rows of linear layers whose outputs are largest."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl.settings import Share, StepsOrNone, checked


@checked
@dataclass(frozen=True, kw_only=True)
class Migu:
    """Keep the gradient of the rows whose outputs are largest in an optimizer step.

    a[d] = sum over the tokens of the rows that are run of |h[d]|,   h = W x + b
    keep[d] = a[d] >= quantile(a, threshold)

    Different data make different outputs large, so an update changes little of what other data
    need. The paper divides a by its sum, which moves no quantile. Rows without an advantage have
    nothing to teach, and are not among those that are run unless `skip_silent_rows` is off.

    Source: MIGU, arXiv 2406.17245; code wenyudu/MIGU@6c05b06: sums in src/uie_trainer_ft.py, mask
    in src/accelerate_local.py, threshold 0.7 in scripts/standard_benchmark_ft.sh and
    standard_benchmark_lora.sh. As there, biases, norms and embeddings are not masked, nor is the
    first data set of a stream, and Adam's momentum still moves a masked row. Differs: a is summed
    over ranks and micro-batches alike, where the code looks at the forward passes of DeepSpeed's
    boundary; the output layer is not masked; of LoRA both factors are masked in this way, where an
    earlier state of the code clusters the rows of the second; the norm that clipping reads is that
    of the whole gradient.

    Attributes:
        threshold: Share of a layer's rows that is not updated; 0 updates all.
        first_steps: Optimizer steps at the beginning that are not masked, as on a first data set.
    """

    threshold: Share = 0.7
    first_steps: StepsOrNone = 0

    def keep(self, magnitudes: Tensor, seed: int) -> Tensor:
        """Choose rows of a layer.

        Args:
            magnitudes: Sum of each output's absolute values, of all ranks, (D,).
            seed: Not read.

        Returns:
            Which rows are updated, (D,), bool; with equal magnitudes all are.
        """
        return magnitudes >= torch.quantile(magnitudes, self.threshold)
