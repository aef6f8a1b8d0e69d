"""Whole groups on any rank layout: visits found by key, shared out over ranks, joined again.

A row of the generation batch belongs to a visit, named by (prompt id, visit id). Position in the
batch never identifies a group, so a group may lie on several ranks.
"""

from collections.abc import Sequence
from random import Random
from typing import Literal, NamedTuple, TypeVar

Item = TypeVar("Item")


class VisitKey(NamedTuple):
    """Names one visit to one prompt: the prompt's id and an id unique to the visit."""

    prompt_id: str
    visit: str


def find_visits(row_keys: Sequence[VisitKey], num_generations: int) -> dict[VisitKey, list[int]]:
    """Join the rows of all ranks into visits.

    Args:
        row_keys: The visit each row belongs to, for the rows of all ranks in rank order.
        num_generations: Rows each visit must have.

    Returns:
        For each visit, in order of first appearance, the positions of its rows.

    Raises:
        RuntimeError: If a visit does not have exactly `num_generations` rows: its group would be
            scored in pieces.

    Example:
        >>> a, b = VisitKey("p", "0-0"), VisitKey("p", "0-1")
        >>> find_visits([a, b, a, b], num_generations=2)[b]
        [1, 3]
    """
    visits: dict[VisitKey, list[int]] = {}
    for position, key in enumerate(row_keys):
        visits.setdefault(key, []).append(position)
    for key, positions in visits.items():
        if len(positions) != num_generations:
            raise RuntimeError(
                f"rows of visit {key.visit}: got {len(positions)}, expected {num_generations}. "
                "The sampler must repeat each prompt num_generations times per generation batch."
            )
    return visits


def shard(items: Sequence[Item], index: int, num_shards: int) -> list[Item]:
    """Return every `num_shards`-th item from `index` on: each item is in exactly one shard."""
    return list(items[index::num_shards])


def neighbours(items: Sequence[Item], index: int, num_shards: int, size: int = 1) -> list[Item]:
    """Return the `index`-th of `num_shards` runs of neighbouring items, equally long or nearly.

    Where rows of a visit stand together, as they do in a batch, a rank so samples the visits whose
    rows are its own.

    Args:
        items: What is shared out.
        index: Of the run.
        num_shards: How many there are.
        size: Items in a row that stay together, such as the wordings of a problem.

    Example:
        >>> [neighbours("abcde", index, 2) for index in (0, 1)]
        [['a', 'b'], ['c', 'd', 'e']]
        >>> [neighbours("aabbcc", index, 2, size=2) for index in (0, 1)]
        [['a', 'a'], ['b', 'b', 'c', 'c']]
    """
    num_units = len(items) // size
    start, end = (num_units * i // num_shards * size for i in (index, index + 1))
    return list(items[start:end])


def choose_trained(
    num_votes: int, num_generations: int, rule: Literal["first", "random"], seed: int
) -> list[int]:
    """Choose which rollouts of a group are trained; the others only vote.

    `first` takes the first `num_generations` in sampling order, as TTRL's code does (its paper
    says "downsample"); where rollouts are exchangeable, that is a random choice too. Those of trees
    are not: roots come first, then their branches, root by root. `random` draws a subset with the
    seed, as EVOL-RL's paper says.

    Returns:
        Rollout numbers, ascending, `num_generations` of them.

    Raises:
        ValueError: If there are fewer votes than rollouts to train.
    """
    if num_votes < num_generations:
        raise ValueError(f"num_votes: got {num_votes}, expected at least {num_generations}.")
    if rule == "first":
        return list(range(num_generations))
    return sorted(Random(seed).sample(range(num_votes), num_generations))
