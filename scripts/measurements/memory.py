"""Memory that an update takes beyond model and batch, stock TRL's against ours."""

from pathlib import Path
from typing import Any

from measurements.alone import alone
from measurements.ratios import Measurement
from measurements.updates import (
    UpdateSizes,
    long_prompts,
    make_stock_trainer,
    make_trainer,
    micro_batches,
    time_update,
)

# Prompt tokens, completion tokens, completions of a prompt; two prompts in one micro-batch.
SHAPES = ((64, 64, 8), (256, 64, 8), (512, 64, 16), (2048, 128, 8))


def measure_memory(sizes: UpdateSizes) -> list[Measurement]:
    """Measure peak bytes of one update, ours / stock, each in a process of its own."""
    found = []
    for prompt, completion, group_size in SHAPES:
        these = long_prompts(sizes, prompt, completion, group_size)
        peaks = {name: alone(peak_bytes, these, name) for name in ("ours", "stock")}
        found.append(
            Measurement(
                name=f"memory of an update, prompts of {prompt}, {group_size} completions of "
                f"{completion // 2} to {completion}: ours / stock TRL",
                values=[peaks["ours"] / peaks["stock"]],
                details={f"bytes of {name}": value for name, value in peaks.items()},
            )
        )
    return found


def peak_bytes(sizes: UpdateSizes, whose: str) -> int:
    """Return the most bytes that an update takes beyond what was taken before it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        is_ours = whose == "ours"
        trainer = make_trainer(sizes, 0.0, folder, is_compact=is_ours)
        batches = micro_batches(trainer)
        if not is_ours:
            trainer = make_stock_trainer(sizes, trainer, folder)
        return peak_of_update(trainer, batches)


def peak_of_update(trainer: Any, batches: list[dict[str, Any]]) -> int:
    """Return the most bytes that an update over micro-batches takes beyond what was taken."""
    import torch

    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        time_update(trainer, batches)
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status("VmRSS")
    time_update(trainer, batches)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """Read a number of bytes that Linux tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(line.split()[1])
