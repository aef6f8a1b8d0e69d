"""How unsure the policy was of each trained completion, for advantages that read it."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from accelerate import Accelerator

from rl.groups.token_statistics import measure_tokens
from rl.rollouts.engine import Sample
from rl.types import Group


def add_mean_entropies(
    groups: Sequence[Group],
    samples: Sequence[tuple[list[int], list[Sample]]],
    *,
    model: Any,
    accelerator: Accelerator,
    pad_token_id: int,
    batch_size: int,
) -> list[Group]:
    """Fill in `Rollout.entropy` of the trained rollouts, in one forward pass over them.

    Every rank must call it.

    Args:
        groups: Groups of this rank.
        samples: For each group its prompt's ids and its samples, in the rollouts' order.
        model: See `rl.groups.token_statistics.measure_tokens`, as for the others.
        accelerator: Likewise.
        pad_token_id: Likewise.
        batch_size: Likewise.
    """
    rows = [
        (prompt_ids, sample.completion_ids)
        for group, (prompt_ids, votes) in zip(groups, samples, strict=True)
        for rollout, sample in zip(group.rollouts, votes, strict=True)
        if rollout.trained
    ]
    measured = iter(measure_tokens(model, accelerator, rows, pad_token_id, batch_size))
    return [
        replace(
            group,
            rollouts=tuple(
                replace(rollout, entropy=fmean(next(measured)[1])) if rollout.trained else rollout
                for rollout in group.rollouts
            ),
        )
        for group in groups
    ]
