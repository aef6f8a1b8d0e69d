"""A training run's progress bar: one line with the few numbers that tell how it goes."""

from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

# Logged key -> how the bar names it.
SHOWN = {
    "reward": "reward",
    "vote/majority_ratio": "majority",
    "completions/mean_length": "length",
    "entropy": "entropy",
}


class TrainingProgress(TrainerCallback):
    """Shows optimizer steps, time left and the last logged reward, majority, length, entropy."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self.shown: dict[str, str] = {}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar at the first step, after an evaluation of the untouched model."""
        if self.bar is None and state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc="training", unit="step"
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move on by one step."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the newest numbers; a step without new rollouts keeps the last ones."""
        if self.bar is not None and logs:
            found = {name: logs[key] for key, name in SHOWN.items() if logs.get(key) is not None}
            self.shown |= {name: f"{value:.3g}" for name, value in found.items()}
            self.bar.set_postfix(self.shown, refresh=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar, so that an evaluation after training can show its own."""
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; an open one would be drawn again below what is printed next."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
