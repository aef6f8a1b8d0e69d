"""One batch out of several: the groups that teach, wherever they were sampled."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from rl.training.handover import hand_over
from rl.training.source import Batch, Row

# A group by the number of its batch, and its number in it.
Place = tuple[int, int]


def choose_groups(teaches: Sequence[Sequence[bool]]) -> list[Place | None]:
    """Choose the groups that are trained, for each place of the first batch one.

    A group that teaches stays where it is; the others' places are taken by those of later batches
    that teach, in order.

    Args:
        teaches: Of each batch, whether each of its groups teaches.

    Returns:
        One for each group of the first batch; None where there is none.

    Example:
        >>> choose_groups([[True, False, False], [False, True]])
        [(0, 0), (1, 1), None]
    """
    later = (
        (batch, group)
        for batch, groups in enumerate(teaches)
        for group, is_taught in enumerate(groups)
        if batch and is_taught
    )
    return [(0, group) if here else next(later, None) for group, here in enumerate(teaches[0])]


def refill(
    batches: Sequence[Batch], chosen: Sequence[Place | None], accelerator: Accelerator
) -> Batch:
    """Put the chosen groups into the places of the first batch; every rank must call it.

    A place without a group keeps its rows, without reward and advantage: they count nowhere.
    Metrics are those of the first batch, whose prompts nothing was chosen by.

    Args:
        batches: Of one policy, all groups of equally many rows; `Batch.sampled` is read.
        chosen: What `choose_groups` returned.
        accelerator: Knows the other ranks.
    """
    first = batches[0]
    tensors = {
        name: getattr(first, name).clone() for name in ("rewards_by_name", "rewards", "advantages")
    }
    moved: dict[Place, int] = {}  # (batch, row of all ranks) -> row of the first batch
    for group, place in enumerate(chosen):
        here = _positions(first, group)
        if place is None:
            tensors["rewards_by_name"][here] = math.nan
            tensors["rewards"][here] = math.nan
            tensors["advantages"][here] = 0.0
        elif place[0]:
            there = _positions(batches[place[0]], place[1])
            for name, values in tensors.items():
                values[here] = getattr(batches[place[0]], name)[there]
            pairs = zip(there.tolist(), here.tolist(), strict=True)
            moved |= {(place[0], row): target for row, target in pairs}
    trained = {batches[b].sampled[g].key for b, g in filter(None, chosen)}
    lines = chain.from_iterable(batch.rollout_lines for batch in batches)
    return replace(
        first,
        rows=_hand_over(batches, moved, accelerator),
        **tensors,
        rollout_lines=_told(lines, trained),
        sampled=[scored for batch in batches for scored in batch.sampled],
        alarms=[alarm for batch in batches for alarm in batch.alarms],
    )


def _positions(batch: Batch, group: int) -> Tensor:
    return (batch.groups == group).nonzero().flatten()


def _hand_over(
    batches: Sequence[Batch], moved: Mapping[Place, int], accelerator: Accelerator
) -> list[Row]:
    """Return this rank's rows; those that come from another place may come from another rank."""
    rank, rows = accelerator.process_index, list(batches[0].rows)
    held = {
        moved[b, number]: row
        for b, batch in enumerate(batches)
        for number, row in enumerate(batch.rows, start=rank * len(batch.rows))
        if (b, number) in moved
    }
    wanted: list[list[int]] = [[] for _ in range(accelerator.num_processes)]
    for position in moved.values():
        wanted[position // len(rows)].append(position)
    for position, row in hand_over(held, wanted, accelerator).items():
        rows[position - rank * len(rows)] = row
    return rows


def _told(lines: Any, trained: set[Any]) -> Iterator[dict[str, Any]]:
    """Say of the rollouts of groups that are left out that they are not trained."""
    for line in lines:
        is_left_out = (line["prompt_id"], line["visit"]) not in trained
        yield {**line, "trained": False, "advantage": None} if is_left_out else line
