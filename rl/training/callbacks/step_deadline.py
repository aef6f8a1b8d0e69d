"""Ends a run whose step takes too long."""

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.watchdog import deadline


class StepDeadline(TrainerCallback):
    """Ends the process if an optimizer step, with its rollouts, takes too long."""

    def __init__(self, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self.step = ExitStack()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the deadline."""
        what = f"step {state.global_step + 1}"
        self.step.enter_context(deadline(what, self.max_seconds, "max_step_seconds"))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take it back."""
        self.step.close()
