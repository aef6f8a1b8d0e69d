"""Prompts asked for ahead, dealt out anew where a run goes on with another number of ranks."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from rl.groups.visits import neighbours


class _Open(NamedTuple):
    """A prompt that no batch has taken: for which batch, its row, and how it was asked for."""

    batch: int
    row: int
    asked: Mapping[str, Any] | None


def deal_anew(
    saved: Sequence[Mapping[str, Any]],
    rank: int,
    num_ranks: int,
    num_prompts: int,
    rows_of_batch: Callable[[int], Sequence[int]],
    *,
    is_within: bool = False,
) -> dict[str, Any]:
    """Deal the prompts that no batch has taken out to other ranks, so that each is trained once.

    Prompts keep the batch they were meant for, by which they are named and seeded, and the samples
    that are there. In the order in which they were asked for they go to the ranks in turn, so that
    each rank has as many as it needs, and none becomes later than it was going to be.

    Args:
        saved: What every former rank wrote (`rl.rollouts.ahead_engine.AheadEngine.save`), in order.
        rank: Of this process.
        num_ranks: How many there are.
        num_prompts: Of a batch.
        rows_of_batch: Number of a batch -> its rows, in order.
        is_within: Whether the newest batch was not used up. Its rows fit no other ranks, so its
            prompts are asked for once more.

    Returns:
        What this rank would have written.
    """
    sizes = [len(neighbours(range(num_prompts), i, len(saved))) for i in range(len(saved))]
    pairs = [(part, size) for part, size in zip(saved, sizes, strict=True) if size]
    end = max(-(-part["next_position"] // size) for part, size in pairs)
    found: list[_Open] = []
    for former, part in enumerate(saved):
        size = sizes[former]
        known = part.get("rows", {})

        def row_at(
            position: int,
            former: int = former,
            size: int = size,
            known: Mapping[int, int] = known,
        ) -> int:
            mine = neighbours(rows_of_batch(position // size), former, len(saved))
            return known.get(position, mine[position % size])

        found += [_Open(one["position"] // size, one["row"], one) for one in part["asked"]]
        missing = [*part["forgotten"], *range(part["next_position"], end * size)]
        missing += part.get("taken", ()) if is_within else ()
        found += [_Open(position // size, row_at(position), None) for position in missing]
    # Of a batch those that were asked for come first, the older ones before the others.
    found.sort(key=lambda one: (one.batch, one.asked is None, one.asked and one.asked["batch"]))
    turns = cycle(
        _turns([len(neighbours(range(num_prompts), i, num_ranks)) for i in range(num_ranks)])
    )
    mine = [one for one, turn in zip(found, turns, strict=False) if turn == rank]
    return _as_saved(mine, len(neighbours(range(num_prompts), rank, num_ranks)), end)


def _turns(sizes: Sequence[int]) -> list[int]:
    """The ranks in turn, each as often as its share of a batch says, evenly spread.

    Example:
        >>> _turns([1, 1, 2])
        [2, 0, 1, 2]
    """
    places = [((i + 0.5) / size, rank) for rank, size in enumerate(sizes) for i in range(size)]
    return [rank for _, rank in sorted(places)]


def _as_saved(mine: Sequence[_Open], size: int, end: int) -> dict[str, Any]:
    counts: dict[int, int] = {}
    asked, forgotten, rows = [], [], {}
    for one in mine:
        position = one.batch * size + counts.get(one.batch, 0)
        counts[one.batch] = counts.get(one.batch, 0) + 1
        rows[position] = one.row
        if one.asked is None:
            forgotten.append(position)
        else:
            asked.append({**one.asked, "position": position})
    return {"next_position": end * size, "asked": asked, "forgotten": forgotten, "rows": rows}
