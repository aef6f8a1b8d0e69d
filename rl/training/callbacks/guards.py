"""Asks a run's guards after every step, and does on all ranks what they answer."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.training.checkpoints import checkpoint_problem, list_checkpoints, named_step
from rl.training.guards.contract import (
    GO_ON,
    Guard,
    StepReport,
    Verdict,
    without_labels,
)
from rl.training.guards.verdict import Event, verdict_line
from rl.training.host import LabelFreeTrainer
from rl.training.update import all_finite, scale_schedule

# A run that needs more of them is stopped.
MAX_ROLL_BACKS = 3
_logger = logging.getLogger(__name__)


@dataclass
class Record:
    """What guards have done in a run; saved in checkpoints, never rolled back.

    Attributes:
        events: The first answer of each spell of trouble, and everything that was acted on.
        abandoned: First and last step of each stretch that was rolled back.
        seconds: Spent until the newest step.
    """

    events: list[Event] = field(default_factory=list)
    abandoned: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "events": [asdict(event) for event in self.events],
            "abandoned": [list(stretch) for stretch in self.abandoned],
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.events = [Event(**event) for event in state["events"]]
        self.abandoned = [(first, last) for first, last in state["abandoned"]]
        self.seconds = state["seconds"]


class GuardCallback(TrainerCallback):
    """Gives every guard the report of each logged step and follows the gravest answer.

    The main process asks, and tells all ranks. Weights are looked at after every step. Where a
    guard may go back, the untouched policy is saved as checkpoint-0, and a checkpoint of a stretch
    that was rolled back is never gone back to.

    Args:
        trainer: Is acted on; the guards' memories become part of its checkpoints.
        guards: Name -> guard.
        output_dir: Where the run's checkpoints lie.
    """

    def __init__(
        self, trainer: LabelFreeTrainer, guards: Mapping[str, Guard], output_dir: Path
    ) -> None:
        self.trainer = trainer
        self.guards = dict(guards)
        self.output_dir = output_dir
        self.record = Record()
        self.current: dict[str, Verdict] = {}  # of guards that see trouble at the newest step
        self.evaluation: dict[str, Any] = {}  # logged since the last report
        self._last_look = time.monotonic()
        memories = {f"guard {name}": guard for name, guard in self.guards.items()}
        trainer.memories |= {**memories, "guards": self.record}

    @property
    def is_calm(self) -> bool:
        """Whether no guard saw trouble at the newest step; the same on every rank."""
        return not self.current

    @property
    def failed(self) -> bool:
        """Whether a guard ended the run as failed."""
        return bool(self.record.events) and self.record.events[-1].failed

    def summary(self) -> dict[str, Any]:
        """What summary.json says: the verdict, one line, and everything that happened."""
        step = self.trainer.state.global_step
        troubled = {name: verdict.cause for name, verdict in self.current.items()}
        return {
            "verdict": verdict_line(self.record.events, troubled, step),
            "guards": [asdict(event) for event in self.record.events],
        }

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save the untouched policy, if a guard may go back to it."""
        actions = {getattr(guard, "action", None) for guard in self.guards.values()}
        if (
            state.global_step == 0
            and actions & {"roll_back", "stop"}
            and args.save_strategy != "no"
        ):
            self.trainer.save_checkpoint()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the weights the update has made."""
        if not all_finite(self.trainer.model.parameters(), self.trainer.accelerator):
            self.trainer.add_metrics({"signal/weights_not_finite": 1.0})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Ask after a step; an evaluation is told with the step it belongs to."""
        logs = logs or {}
        if "grad_norm" not in logs:
            self.evaluation |= {k: v for k, v in logs.items() if k.startswith("eval/")}
            return
        answers: list[Any] = [self._ask(state.global_step, logs)]
        broadcast_object_list(answers)
        self._follow(answers[0], state, control)

    def _ask(self, step: int, logs: Mapping[str, Any]) -> dict[str, Verdict]:
        """Return the answers that are not to go on; of the main process alone they count."""
        now = time.monotonic()
        self.record.seconds, self._last_look = self.record.seconds + now - self._last_look, now
        report = StepReport(
            step=step,
            metrics=without_labels({**self.evaluation, **logs}),
            max_completion_length=self.trainer.args.max_completion_length,
            sampled_tokens=self.trainer.costs.total["num_sampled_tokens"],
            seconds=self.record.seconds,
        )
        self.evaluation = {}
        if not self.trainer.accelerator.is_main_process:
            return {}
        answers = {name: guard.check(report) for name, guard in self.guards.items()}
        return {name: answer for name, answer in answers.items() if answer != GO_ON}

    def _follow(
        self, answers: dict[str, Verdict], state: TrainerState, control: TrainerControl
    ) -> None:
        known, self.current = self.current, answers
        for name, verdict in answers.items():
            if verdict.action == "warn" and name in known:
                continue  # told when it began
            self._act(name, verdict, state.global_step, control)

    def _act(self, name: str, verdict: Verdict, step: int, control: TrainerControl) -> None:
        event = Event(
            step=step,
            guard=name,
            action=verdict.action,
            cause=verdict.cause,
            healthy_step=verdict.healthy_step,
            failed=verdict.failed,
        )
        goes_back = verdict.action == "roll_back" or (
            verdict.action == "stop" and verdict.healthy_step is not None
        )
        if goes_back:
            event.checkpoint = self._go_back(verdict, step)
        is_spent = len(self.record.abandoned) > MAX_ROLL_BACKS
        if verdict.action == "stop" or (
            verdict.action == "roll_back" and (is_spent or event.checkpoint is None)
        ):
            event.action = "stop"
            control.should_training_stop = True
            control.should_save = False
        elif verdict.action != "warn":
            factor = verdict.learning_rate_factor
            scale_schedule(self.trainer.lr_scheduler, self.trainer.optimizer, factor)
            event.learning_rate_factor = factor
        self.record.events.append(event)
        if self.trainer.accelerator.is_main_process:
            _logger.warning("step %d: %s", step, event.sentence())

    def _go_back(self, verdict: Verdict, step: int) -> int | None:
        """Take the newest good checkpoint and return its step; None if there is none."""
        assert verdict.healthy_step is not None
        found: list[Any] = [
            newest_checkpoint(self.output_dir, verdict.healthy_step, self.abandoned)
        ]
        broadcast_object_list(found)
        if found[0] is None:
            return None
        self.trainer.roll_back(self.output_dir / f"checkpoint-{found[0]}")
        self.record.abandoned.append((found[0] + 1, step))
        return found[0]

    @property
    def abandoned(self) -> list[tuple[int, int]]:
        """Stretches of steps whose policies were given up."""
        return self.record.abandoned


def newest_checkpoint(
    output_dir: Path, last_step: int, abandoned: list[tuple[int, int]]
) -> int | None:
    """Find the newest whole checkpoint up to a step that is in no stretch that was given up."""
    for folder in reversed(list_checkpoints(output_dir)):
        step = named_step(folder)
        is_given_up = any(first <= step <= last for first, last in abandoned)
        if step <= last_step and not is_given_up and checkpoint_problem(folder) is None:
            return step
    return None
