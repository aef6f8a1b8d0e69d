"""How unsure the policy was of each trained completion, for advantages that read it."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from accelerate import Accelerator

from rl.data.image_inputs import ImageInputs
from rl.groups.token_statistics import measure_tokens
from rl.rollouts.engine import Images, Sample
from rl.types import Group


def add_mean_entropies(
    groups: Sequence[Group],
    samples: Sequence[tuple[list[int], list[Sample]]],
    *,
    model: Any,
    accelerator: Accelerator,
    pad_token_id: int,
    batch_size: int,
    images: Images = None,
    image_inputs: ImageInputs | None = None,
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
        images: Of each group's prompt.
        image_inputs: Likewise.
    """
    owners = images or [()] * len(groups)
    trained = [
        (prompt_ids, sample.completion_ids, own)
        for group, (prompt_ids, votes), own in zip(groups, samples, owners, strict=True)
        for rollout, sample in zip(group.rollouts, votes, strict=True)
        if rollout.trained
    ]
    rows = [(prompt, completion) for prompt, completion, _ in trained]
    of_rows = [own for _, _, own in trained] if images else None
    found = measure_tokens(
        model,
        accelerator,
        rows,
        pad_token_id,
        batch_size,
        images=of_rows,
        image_inputs=image_inputs,
    )
    measured = iter(found)
    return [
        _with_entropies(group, [next(measured)[1] for r in group.rollouts if r.trained])
        for group in groups
    ]


def take_mean_entropies(groups: Sequence[Group], measured: Sequence[Group]) -> list[Group]:
    """Fill them in where statistics of every token were measured already.

    Args:
        groups: Groups of this rank.
        measured: The same with `Rollout.token_statistics`.
    """
    return [
        _with_entropies(
            group,
            [r.token_statistics.entropies for r in of.rollouts if r.trained and r.token_statistics],
        )
        for group, of in zip(groups, measured, strict=True)
    ]


def _with_entropies(group: Group, of_trained: Sequence[Sequence[float]]) -> Group:
    entropies = iter(of_trained)
    return replace(
        group,
        rollouts=tuple(
            replace(rollout, entropy=fmean(next(entropies))) if rollout.trained else rollout
            for rollout in group.rollouts
        ),
    )
