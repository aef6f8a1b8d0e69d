"""The rows of a generation batch that a stopped run has not used up, beside its checkpoint."""

from pathlib import Path

import torch
from torch import Tensor

BUFFER_FILE = "rollout_buffer_{rank}.pt"

# Several ranks on a CPU call it cpu:0, a name that files of tensors are not read to otherwise.
torch.serialization.register_package(
    100, lambda storage: None, lambda storage, place: storage if place[:4] == "cpu:" else None
)


def save_buffer(folder: Path, rank: int, micro_batches: list[dict[str, Tensor]]) -> None:
    """Write a rank's micro-batches into the checkpoint folder, whole or not at all."""
    path = folder / BUFFER_FILE.format(rank=rank)
    unfinished = path.with_suffix(".unfinished")
    torch.save(micro_batches, unfinished)
    unfinished.replace(path)


def load_buffer(
    folder: Path, rank: int, num_micro_batches: int, device: torch.device
) -> list[dict[str, Tensor]] | None:
    """Read them back.

    Returns:
        None if the checkpoint has none, or not as many as are needed: on another number of ranks
        the rows do not fit, and are sampled again.
    """
    path = folder / BUFFER_FILE.format(rank=rank)
    if not path.is_file():
        return None
    micro_batches = torch.load(path, map_location=device, weights_only=True)
    return micro_batches if len(micro_batches) == num_micro_batches else None
