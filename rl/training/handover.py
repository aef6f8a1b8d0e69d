"""Values that one rank holds and others need, sent to those ranks alone."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from accelerate import Accelerator
from torch.distributed import scatter_object_list

Key = TypeVar("Key")
Value = TypeVar("Value")


def hand_over(
    held: Mapping[Key, Value], wanted: Sequence[Sequence[Key]], accelerator: Accelerator
) -> dict[Key, Value]:
    """Give each rank what it needs; every rank must call it.

    What a rank needs and holds itself does not leave it.

    Args:
        held: What this rank holds.
        wanted: For each rank the keys of what it needs, the same on all ranks.
        accelerator: Knows the ranks.

    Returns:
        What this rank needs.

    Raises:
        KeyError: If no rank holds it.
    """
    rank = accelerator.process_index
    found = {key: held[key] for key in wanted[rank] if key in held}
    if accelerator.num_processes > 1:
        parts = [{key: held[key] for key in keys if key in held} for keys in wanted]
        parts[rank] = {}
        for sender in range(accelerator.num_processes):
            received: list[Any] = [None]
            scatter_object_list(received, parts if sender == rank else None, src=sender)
            found |= received[0]
    return {key: found[key] for key in wanted[rank]}
