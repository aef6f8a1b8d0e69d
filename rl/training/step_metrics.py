"""What TRL's trainer logs of a generation batch, under TRL's names."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from rl.training.source import Batch
from rl.trl_internals import nanmax, nanmin, nanstd


def length_metrics(
    lengths: Tensor, is_truncated: Tensor, accelerator: Accelerator
) -> dict[str, float]:
    """Describe the trained completions of all ranks; every rank must call it.

    Args:
        lengths: Tokens of each completion of this rank, (B,).
        is_truncated: Whether it has no end, (B,).
        accelerator: Knows the other ranks.

    Returns:
        completions/{mean,min,max}_length, completions/clipped_ratio: share of the truncated ones,
        completions/{mean,min,max}_terminated_length: of the others, 0 if there are none.
    """
    lengths, is_truncated = gathered(accelerator, lengths), gathered(accelerator, is_truncated)
    terminated = lengths[~is_truncated]
    if len(terminated) == 0:
        terminated = lengths.new_zeros(1)
    metrics = {"completions/clipped_ratio": is_truncated.float().mean().item()}
    for name, values in (("length", lengths.float()), ("terminated_length", terminated.float())):
        metrics[f"completions/mean_{name}"] = values.mean().item()
        metrics[f"completions/min_{name}"] = values.min().item()
        metrics[f"completions/max_{name}"] = values.max().item()
    return metrics


def reward_metrics(batch: Batch, names: Sequence[str], num_generations: int) -> dict[str, float]:
    """Describe the rewards of the trained rows of all ranks, without those that are NaN.

    Returns:
        rewards/<name>/mean and rewards/<name>/std of each reward, reward and reward_std of their
        sum, frac_reward_zero_std: share of the `num_generations` consecutive rows that are equal.
    """
    metrics = {}
    for name, values in zip(names, batch.rewards_by_name.unbind(dim=1), strict=True):
        metrics[f"rewards/{name}/mean"] = values.nanmean().item()
        metrics[f"rewards/{name}/std"] = nanstd(values).item()
    metrics["reward"] = batch.rewards.nanmean().item()
    metrics["reward_std"] = nanstd(batch.rewards).item()
    deviations = nanstd(batch.rewards.view(-1, num_generations), dim=1)
    is_zero = torch.isclose(deviations, torch.zeros_like(deviations))
    metrics["frac_reward_zero_std"] = is_zero.float().mean().item()
    return metrics


def sampler_gaps(
    logps: Tensor, sampled: Tensor, mask: Tensor, ratios: Tensor
) -> tuple[Tensor, Tensor]:
    """Pick out what `sampling_metrics` is about.

    Args:
        logps: The trainer's log-probabilities, (B, T).
        sampled: The sampler's, NaN where it could not tell one, (B, T).
        mask: 1 at sampled tokens, (B, T).
        ratios: From `importance_ratios`, (B, T), or (B, 1) by sequence.

    Returns:
        Distances of log-probabilities, of the N tokens that have both, (N,), and the ratios of
        tokens, or of rows that have any, (M,).
    """
    is_token = mask.bool()
    gaps = (logps - sampled).abs()
    counts = is_token if ratios.shape == mask.shape else is_token.any(dim=1, keepdim=True)
    return gaps[is_token & ~gaps.isnan()], ratios[counts]


def sampling_metrics(gaps: Tensor, ratios: Tensor, accelerator: Accelerator) -> dict[str, float]:
    """Say how far sampler and trainer are apart; every rank must call it.

    Args:
        gaps: This rank's distances of log-probabilities, (N,).
        ratios: This rank's importance ratios, (M,).
        accelerator: Knows the other ranks.

    Returns:
        sampling/sampling_logp_difference/{mean,max} and
        sampling/importance_sampling_ratio/{min,mean,max}. The means are those of the ranks' means.
    """
    gaps, ratios = or_zero(gaps), or_zero(ratios)
    return {
        "sampling/sampling_logp_difference/mean": gathered(accelerator, gaps.mean()).mean().item(),
        "sampling/sampling_logp_difference/max": gathered(accelerator, gaps.max()).max().item(),
        "sampling/importance_sampling_ratio/min": nanmin(
            gathered(accelerator, ratios.min())
        ).item(),
        "sampling/importance_sampling_ratio/mean": gathered(accelerator, ratios.mean())
        .nanmean()
        .item(),
        "sampling/importance_sampling_ratio/max": nanmax(
            gathered(accelerator, ratios.max())
        ).item(),
    }


def add_to_table(table: Mapping[str, Any], batch: Batch, names: Sequence[str]) -> None:
    """Add the trained rows of all ranks to what `log_completions` shows; every rank must call it.

    Args:
        table: TRL's `_logs`: lists under prompt, completion, advantages, and one for each reward.
        batch: The rows.
        names: Of the rewards.
    """
    shown = [
        # A chat is answered by a message.
        row.completion
        if isinstance(row.prompt, str)
        else [{"role": "assistant", "content": row.completion}]
        for row in batch.rows
    ]
    table["prompt"].extend(gather_object([row.prompt for row in batch.rows]))
    table["completion"].extend(gather_object(shown))
    for name, values in zip(names, batch.rewards_by_name.unbind(dim=1), strict=True):
        table["rewards"][name].extend(values.tolist())
    table["advantages"].extend(batch.advantages.tolist())


class NewestStep:
    """Tells the newest step's numbers from those of the steps before that are not logged yet."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[list[float], int]] = {}  # name -> its list, and how much of it

    def take(self, logged: Mapping[str, list[float]]) -> dict[str, float]:
        """Return the mean of what has come to each list since the last call, without NaN.

        Args:
            logged: Name -> values since the last log, which begins new lists.

        Example:
            >>> newest, logged = NewestStep(), {"entropy": [1.0, 3.0]}
            >>> newest.take(logged)
            {'entropy': 2.0}
            >>> logged["entropy"].append(5.0)
            >>> newest.take(logged), newest.take(logged)
            ({'entropy': 5.0}, {})
        """
        found = {}
        for name, values in logged.items():
            known, num_seen = self.seen.get(name, (values, 0))
            new = [v for v in values[num_seen if known is values else 0 :] if not math.isnan(v)]
            if new:
                found[name] = fmean(new)
            self.seen[name] = (values, len(values))
        return found


def or_zero(values: Tensor) -> Tensor:
    """Return the values, or a single zero in place of none."""
    return values if values.numel() else values.new_zeros(1)


def gathered(accelerator: Accelerator, values: Tensor) -> Tensor:
    """Join a tensor of all ranks along its first axis."""
    everything: Any = accelerator.gather(values)
    return everything
