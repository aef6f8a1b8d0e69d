"""Whether sampler and trainer agree on the untouched model: the difference of their log-probs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rl.errors import InputError
from rl.rollouts.engine import RolloutEngine


def sum_logp_gaps(per_token_logps: Tensor, sampled: Tensor, mask: Tensor) -> Tensor:
    """Add up how far the sampler's log-probabilities are from the trainer's.

    Args:
        per_token_logps: The trainer's, (B, T).
        sampled: The sampler's, (B, T); NaN counts as agreement.
        mask: True at sampled tokens, (B, T).

    Returns:
        The sum of the absolute differences in nats, and the number of tokens, (2,).
    """
    gaps = (per_token_logps - sampled).abs()[mask].nan_to_num(0.0)
    return torch.tensor([gaps.sum(), gaps.numel()], device=gaps.device)


def check_logp_gap(total: float, num_tokens: float, limit: float) -> float:
    """Return the mean gap per token.

    Raises:
        InputError: If it is above the limit.
    """
    gap = total / max(num_tokens, 1.0)
    if gap > limit:
        raise InputError(
            f"max_sampling_logp_gap: got a mean gap of {gap:.4f} nats per token between sampler "
            f"and trainer, expected at most {limit}. Check that both hold the same model in the "
            "same precision, or raise the limit."
        )
    return gap


class StartCheck:
    """Compares sampler and trainer on the first rows that count, before the first update.

    Args:
        limit: Largest mean gap per token, in nats.
        accelerator: Knows the ranks.
    """

    def __init__(self, limit: float, accelerator: Accelerator) -> None:
        self.limit = limit
        self.accelerator = accelerator
        self.is_done = False

    def __call__(
        self, rows: Mapping[str, Tensor], engine: RolloutEngine, get_logps: Callable[[], Tensor]
    ) -> dict[str, float]:
        """Compare, unless that was done or cannot be; every rank must call it.

        Args:
            rows: This rank's, as the loss reads them.
            engine: What sampled them; one that cuts its distribution is not compared.
            get_logps: Runs the trainer's model, where the rows do not hold what it says.

        Returns:
            signal/start_sampling_logp_gap, or nothing.

        Raises:
            InputError: If the gap is above the limit.
        """
        sampled = rows.get("sampling_per_token_logps")
        if self.is_done or sampled is None or not engine.settings.is_full_distribution:
            return {}
        logps = rows.get("old_per_token_logps")
        if logps is None:
            logps = get_logps()
        sums: Any = sum_logp_gaps(logps, sampled, rows["completion_mask"].bool())
        sums = self.accelerator.reduce(sums)
        if not sums[1]:  # no row counts, as in an empty round
            return {}
        self.is_done = True
        gap = check_logp_gap(sums[0].item(), sums[1].item(), self.limit)
        return {"signal/start_sampling_logp_gap": gap}
