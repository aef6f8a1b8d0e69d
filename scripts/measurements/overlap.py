"""A step's time where the next batch is sampled meanwhile, against the longer of both parts."""

import statistics
import tempfile
import time
from itertools import pairwise
from typing import Any

from measurements.ratios import Measurement
from measurements.updates import UpdateSizes, make_trainer
from transformers import PrinterCallback, TrainerCallback

SAMPLING = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the update
TARGET = 1.15


def measure_overlap(sizes: UpdateSizes, repetitions: int) -> list[Measurement]:
    """Measure steps with an engine that waits, as one on devices of its own takes its time.

    Args:
        sizes: Of the model and the batch.
        repetitions: Steps of each run that count; the first two do not.
    """
    update = statistics.median(step_seconds(sizes, repetitions, 0.0, max_staleness=0))
    found = []
    for share in SAMPLING:
        sample = share * update
        for staleness in (0, 1):
            seconds = step_seconds(sizes, repetitions, sample, max_staleness=staleness)
            name = f"a step / the longer of sampling ({share:g} x update) and update, "
            found.append(
                Measurement(
                    name=f"{name}max_staleness {staleness}",
                    target=f"<= {TARGET}" if staleness else "",
                    values=[value / max(sample, update) for value in seconds],
                    details={"seconds of sampling": sample, "seconds of an update": update},
                )
            )
    return found


def step_seconds(
    sizes: UpdateSizes, num_steps: int, sampling_seconds: float, max_staleness: int
) -> list[float]:
    """Train and return the seconds of each step, from the third on."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(
            sizes,
            0.0,
            folder,
            is_compact=True,
            seconds=sampling_seconds,
            max_staleness=max_staleness,
            max_steps=num_steps + 2,
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer.remove_callback(PrinterCallback)
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
    return [end - start for start, end in pairwise(clock.ends)][1:]


class Clock(TrainerCallback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *arguments: Any, **facts: Any) -> None:
        """Note it."""
        self.ends.append(time.perf_counter())
