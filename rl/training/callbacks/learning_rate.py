"""Another learning rate than the one a run was stopped with."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class ChangedLearningRate(TrainerCallback):
    """Puts the learning rate of the settings in place of the one a checkpoint holds."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Scale every rate, so that the schedule goes on where it is."""
        scheduler, optimizer = kwargs["lr_scheduler"], kwargs["optimizer"]
        factor = args.learning_rate / scheduler.base_lrs[0]
        scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]
        scheduler._last_lr = [rate * factor for rate in scheduler.get_last_lr()]  # what is logged
        for group in optimizer.param_groups:
            group["lr"] *= factor
            group["initial_lr"] *= factor
