"""The sizes of a batch: given in prompts, as TRL has it in rows, micro-batches and accumulation."""

import math
import os
from dataclasses import fields
from typing import TYPE_CHECKING

from rl.errors import InputError

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


def set_accumulation(config: "LabelFreeConfig") -> None:
    """Turn prompts per batch and updates per batch into TRL's accumulation settings.

    Raises:
        InputError: If they do not divide each other, or TRL's are set.
    """
    for name in ("generation_batch_size", "steps_per_generation"):
        if getattr(config, name):
            raise InputError(
                f"{name}: got {getattr(config, name)}, expected it unset. Set num_prompts and "
                "num_updates, from which it follows."
            )
    defaults = {field.name: field.default for field in fields(config)}
    if config.gradient_accumulation_steps != defaults["gradient_accumulation_steps"]:
        raise InputError(
            f"gradient_accumulation_steps: got {config.gradient_accumulation_steps}, expected it "
            "unset. Set num_prompts and num_updates, from which it follows."
        )
    # TrainingArguments knows its world size only after the fields set here have been read.
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    rows_per_forward = config.per_device_train_batch_size * num_processes
    if not config.num_prompts:
        # The smallest number of whole groups that fills every device's micro-batches.
        rows = math.lcm(config.num_generations, rows_per_forward * config.num_updates)
        config.num_prompts = rows // config.num_generations
    rows = config.num_prompts * config.num_generations
    if rows % config.num_updates:
        raise InputError(
            f"num_updates: got {config.num_updates}, expected a divisor of num_prompts x "
            f"num_generations ({config.num_prompts} x {config.num_generations}). Change one."
        )
    rows_per_update = rows // config.num_updates
    if rows_per_update % rows_per_forward:
        raise InputError(
            f"per_device_train_batch_size: got {config.per_device_train_batch_size} on "
            f"{num_processes} process(es), expected a size whose product with the processes "
            f"divides the {rows_per_update} rows of one optimizer step (num_prompts x "
            f"num_generations / num_updates). Lower it, or change num_prompts."
        )
    config.gradient_accumulation_steps = rows_per_update // rows_per_forward
    config.steps_per_generation = config.gradient_accumulation_steps * config.num_updates


def count_batches(config: "LabelFreeConfig", num_rows: int) -> int:
    """Return how many generation batches a run takes if nothing ends it before.

    Args:
        config: `max_steps`, or without it `num_train_epochs`, and the sizes of a batch.
        num_rows: Of the training set; what fills no batch is left out of an epoch.
    """
    if config.max_steps > 0:
        return math.ceil(config.max_steps / (config.num_updates * config.num_iterations))
    return math.ceil(config.num_train_epochs * (num_rows // config.num_prompts))


def batch_sizes(config: "LabelFreeConfig") -> dict[str, int]:
    """Return the sizes of one generation batch and of one optimizer step, for people to check."""
    return {
        "processes": config.world_size,
        "prompts per generation batch": config.num_prompts,
        "completions sampled (votes)": config.num_prompts * config.vote_budget.max,
        "completions trained": config.num_prompts * config.num_generations,
        "optimizer steps per generation batch": config.num_updates * config.num_iterations,
        "rows per optimizer step": config.num_prompts
        * config.num_generations
        // config.num_updates,
        "rows per device and forward pass": config.per_device_train_batch_size,
        "gradient accumulation steps": config.gradient_accumulation_steps,
        "max completion length": config.max_completion_length,
    }
