"""What a checkpoint holds beside TRL's files: memories, the run's settings, rows not yet used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rl.groups.memory import save_signals
from rl.training.files import RunFiles

BUFFER_FILE = "rollout_buffer_{rank}.pt"
BUFFER_FILES = "rollout_buffer_*.pt"

# Several ranks on a CPU call it cpu:0, a name that files of tensors are not read to otherwise.
torch.serialization.register_package(
    100, lambda storage: None, lambda storage, place: storage if place[:4] == "cpu:" else None
)


def save_memories(
    folder: Path, accelerator: Accelerator, signals: Mapping[str, Any], run_files: RunFiles | None
) -> None:
    """Write what signals remember, alike on all ranks, and the settings of the run."""
    if accelerator.is_main_process:
        save_signals(folder, signals)
        if run_files is not None:
            run_files.copy_config(folder)


def save_buffer(
    folder: Path, accelerator: Accelerator, micro_batches: list[dict[str, Tensor]] | None
) -> None:
    """Write a rank's micro-batches of a generation batch; None if it is used up."""
    if micro_batches is not None:
        torch.save(micro_batches, folder / BUFFER_FILE.format(rank=accelerator.process_index))


def load_buffer(
    folder: Path, accelerator: Accelerator, num_micro_batches: int, fits: bool = True
) -> list[dict[str, Tensor]] | None:
    """Read them back.

    Args:
        folder: The checkpoint.
        accelerator: Knows the rank.
        num_micro_batches: As many as are needed.
        fits: Whether their images are those of the same data set; rows know the number of a row.

    Returns:
        None if the checkpoint has none, is of another number of ranks, or has not as many as are
        needed: the rows do not fit then, and are sampled again. The same on every rank.
    """
    path = folder / BUFFER_FILE.format(rank=accelerator.process_index)
    is_of_these_ranks = len(list(folder.glob(BUFFER_FILES))) == accelerator.num_processes
    if not path.is_file() or not is_of_these_ranks or not fits:
        return None
    micro_batches = torch.load(path, map_location=accelerator.device, weights_only=True)
    return micro_batches if len(micro_batches) == num_micro_batches else None
