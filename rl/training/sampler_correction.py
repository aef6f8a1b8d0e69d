"""Correcting for a sampler that is not quite the trainer: TRL's importance ratios of rows."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor

from rl.training.config import LabelFreeConfig
from rl.training.layout import importance_ratios
from rl.training.step_metrics import sampler_gaps, sampling_metrics


class SamplerCorrection:
    """Compares the policy, as it is when a batch's updates begin, with what sampled the rows.

    Where all micro-batches of a batch make one update, the loss itself has that policy's
    log-probabilities, so it asks for the ratios of each micro-batch, and a pass over the batch
    before is saved. Differs from TRL, which makes that pass whenever vLLM samples: only rows that
    are run count in the metrics.

    Args:
        config: TRL's settings `vllm_importance_sampling_*`.
        accelerator: Knows the ranks.
    """

    def __init__(self, config: LabelFreeConfig, accelerator: Accelerator) -> None:
        self.config = config
        self.accelerator = accelerator
        self._gaps: list[tuple[Tensor, Tensor]] = []  # since the last update

    def __call__(self, rows: Mapping[str, Tensor], per_token_logps: Tensor) -> dict[str, Tensor]:
        """Return the rows' `importance_sampling_ratio`.

        Args:
            rows: A batch or micro-batch of B rows.
            per_token_logps: Of the policy, (B, T).
        """
        logps, sampled = per_token_logps.detach(), rows["sampling_per_token_logps"]
        ratios = importance_ratios(logps, sampled, rows["completion_mask"], self.config)
        self._gaps.append(sampler_gaps(logps, sampled, rows["completion_mask"], ratios))
        return {"importance_sampling_ratio": ratios}

    def finish_update(self) -> dict[str, float]:
        """Return `sampling_metrics` of what was compared since; every rank must call it."""
        parts, self._gaps = self._gaps, []
        if not parts:
            return {}
        gaps, ratios = (torch.cat(part) for part in zip(*parts, strict=True))
        return sampling_metrics(gaps, ratios, self.accelerator)
