"""A step's time where the next batch is sampled meanwhile, against the longer of both parts."""

import math
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from measurements.ratios import Measurement
from measurements.runs import run_recipe
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


def measure_server_overlap(testbed: Path, output_dir: Path, num_steps: int) -> list[Measurement]:
    """Measure steps of the demo's recipe that samples from a vLLM server of its own.

    What a step's parts take is measured with `max_staleness: 0`, where they follow each other. The
    server needs a core, or a device, of its own.

    Args:
        testbed: Folder of a testbed with strategies.
        output_dir: Where the runs go.
        num_steps: Steps of a run that count; the first two and the last, which asks no more, don't.
    """
    found = []
    longer = math.nan
    for staleness in (0, 1, 2):
        lines = run_recipe(
            "recipes/demo.yaml",
            output_dir / f"staleness_{staleness}",
            model=str(testbed / "model"),
            dataset=str(testbed / "train.jsonl"),
            eval_benchmarks=[],
            use_vllm=True,
            vllm_mode="server",
            vllm_launch_server=True,
            max_steps=num_steps + 3,
            max_staleness=staleness,
        )
        steps = [line for line in lines if "loss" in line][2:-1]
        if staleness == 0:
            samples = [line["cost/sample_seconds"] for line in steps]
            rests = [line["step_time"] - line["cost/sample_seconds"] for line in steps]
            longer = max(statistics.median(samples), statistics.median(rests))
        found.append(
            Measurement(
                name="a step with a vLLM server / the longer of sampling and the rest, "
                f"max_staleness {staleness}",
                target=f"<= {TARGET}" if staleness else "",
                values=[line["step_time"] / longer for line in steps],
                details={"seconds of the longer part": longer},
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
