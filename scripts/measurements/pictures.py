"""The update on questions about pictures, each picture run once against once a completion."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from measurements.alone import alone
from measurements.memory import peak_of_update
from measurements.ratios import Measurement
from measurements.updates import time_update

RECIPE = "recipes/ttrl/ttrl_pictures.yaml"


def measure_picture_update(testbed: Path, repetitions: int, **settings: Any) -> Measurement:
    """Measure the time of the recipe's first update, shared prompts / plain.

    The rollouts are the base model's and the same for both; all else, silent rows left out
    included, is the same too.

    Args:
        testbed: The testbed of pictures.
        repetitions: Of the update.
        settings: Of the run, in place of the recipe's.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = {
            shares: prepare_update(testbed, folder, shares, settings) for shares in (True, False)
        }
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for repetition in range(repetitions + 1):
            for shares, update in work.items():
                elapsed = time_update(*update)
                if repetition:  # the first warms up
                    seconds[shares].append(elapsed)
    config = work[True][0].args
    return Measurement(
        name=f"update, {config.num_prompts} prompts with a picture, {config.num_generations} "
        "completions of each: shared / not",
        values=[a / b for a, b in zip(seconds[True], seconds[False], strict=True)],
        details={
            "seconds shared": statistics.median(seconds[True]),
            "seconds not shared": statistics.median(seconds[False]),
        },
    )


def measure_picture_memory(testbed: Path) -> Measurement:
    """Measure peak bytes of the same update, shared / plain, each in a process of its own."""
    peaks = {shares: alone(peak_bytes, testbed, shares) for shares in (True, False)}
    return Measurement(
        name="memory of an update on prompts with a picture: shared / not",
        values=[peaks[True] / peaks[False]],
        details={"bytes shared": peaks[True], "bytes not shared": peaks[False]},
    )


def prepare_update(testbed: Path, folder: str, shares: bool, settings: dict[str, Any]) -> Any:
    """Build the recipe's trainer and let it sample; return both it and its micro-batches."""
    import rewards
    from rl.training.recipe import load_recipe, make_config
    from rl.training.run import build_trainer
    from rl.training.start import prepare

    recipe = load_recipe(RECIPE) | {
        "model": str(testbed / "model"),
        "dataset": str(testbed / "train.jsonl"),
        "eval_benchmarks": [],
        "output_dir": folder,
        "shared_prompts": shares,
    }
    trainer: Any = build_trainer(prepare(make_config(recipe | settings), rewards))
    prompts = trainer.train_dataset.select(range(trainer.args.num_prompts))
    trainer.model.train()
    trainer._prepare_inputs([row for row in prompts for _ in range(trainer.args.num_generations)])
    return trainer, trainer._buffered_inputs


def peak_bytes(testbed: Path, shares: bool) -> int:
    """Return the most bytes that an update takes beyond what was taken before it."""
    with tempfile.TemporaryDirectory() as folder:
        return peak_of_update(*prepare_update(testbed, folder, shares, {}))
