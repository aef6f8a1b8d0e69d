"""Asks a run's guards after every step, and does on all ranks what they answer."""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.errors import InputError
from rl.plugins import call_plugin
from rl.processes import from_main_process
from rl.training.checkpoints import (
    NUM_FALLBACKS,
    checkpoint_problem,
    is_within,
    list_checkpoints,
    named_step,
)
from rl.training.guards.contract import ACTIONS, Guard, StepReport, Verdict, without_labels
from rl.training.guards.verdict import Event, advice, verdict_line
from rl.training.host import LabelFreeTrainer
from rl.training.step_metrics import NewestStep
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
        troubled: Guard -> cause, of those that saw trouble at the newest step.
        evaluation: Logged since the newest report.
        seconds: Spent until the newest step.
    """

    events: list[Event] = field(default_factory=list)
    abandoned: list[tuple[int, int]] = field(default_factory=list)
    troubled: dict[str, str] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "events": [asdict(event) for event in self.events],
            "abandoned": [list(stretch) for stretch in self.abandoned],
            "troubled": self.troubled,
            "evaluation": self.evaluation,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.events = [Event(**event) for event in state["events"]]
        self.abandoned = [(first, last) for first, last in state["abandoned"]]
        # An older version had none of the two.
        self.troubled = state.get("troubled", {})
        self.evaluation = state.get("evaluation", {})
        self.seconds = state["seconds"]


class GuardCallback(TrainerCallback):
    """Gives every guard the report of each step, logged or not, and follows the gravest answer.

    The main process asks, and tells all ranks. Weights are looked at after every step. Where a
    guard may go back, the untouched policy is saved as checkpoint-0 and older checkpoints are kept
    beside `save_total_limit`; a checkpoint of a stretch that was rolled back is never gone back to.

    Args:
        trainer: Is acted on; the guards' memories become part of its checkpoints.
        guards: Name -> guard.
        output_dir: Where the run's checkpoints lie.

    Attributes:
        listeners: Called on every rank with each event, once it is acted on.
    """

    def __init__(
        self, trainer: LabelFreeTrainer, guards: Mapping[str, Guard], output_dir: Path
    ) -> None:
        self.trainer = trainer
        self.guards = dict(guards)
        self.output_dir = output_dir
        self.record = Record()
        self.newest = NewestStep()
        self.listeners: list[Callable[[Event], None]] = []
        self._last_look = time.monotonic()
        memories = {f"guard {name}": guard for name, guard in self.guards.items()}
        trainer.memories |= {**memories, "guards": self.record}
        self.may_go_back = any(
            getattr(guard, "goes_back", False)
            and getattr(guard, "action", "roll_back") in ("roll_back", "stop")
            for guard in self.guards.values()
        )
        trainer.checkpoints.num_fallbacks = NUM_FALLBACKS if self.may_go_back else 0

    @property
    def is_calm(self) -> bool:
        """Whether no guard saw trouble at the newest step; the same on every rank."""
        return not self.record.troubled

    @property
    def failed(self) -> bool:
        """Whether a guard ended the run as failed."""
        return bool(self.record.events) and self.record.events[-1].failed

    def summary(self) -> dict[str, Any]:
        """What summary.json says: the verdict, one line, and everything that happened."""
        line = verdict_line(
            self.record.events,
            self.record.troubled,
            self.trainer.state.global_step,
            self.output_dir,
            self.trainer.args.learning_rate,
        )
        return {"verdict": line, "guards": [asdict(event) for event in self.record.events]}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save the untouched policy, if a guard may go back to it; stay stopped, if one stopped."""
        if self.may_go_back:
            self._say_what_is_kept(args)
        is_new = state.global_step == 0 and not (self.output_dir / "checkpoint-0").exists()
        if is_new and self.may_go_back and args.save_strategy != "no":
            self.trainer.save_checkpoint()
        self._protect()
        # A signal came in the step in which a guard stopped the run, so that was saved.
        last = self.record.events[-1] if self.record.events else None
        is_over = last is not None and last.action == "stop" and last.step == state.global_step
        # Unless the user goes on with other guards, or a larger budget.
        if is_over and not {"guards", "max_sampled_tokens"} & set(self.trainer.args.accept_changes):
            control.should_training_stop = True

    def _say_what_is_kept(self, args: TrainingArguments) -> None:
        if not self.trainer.accelerator.is_main_process:
            return
        if args.save_strategy == "no":
            _logger.warning(
                "guards may stop the run, and save_strategy 'no' leaves them no earlier policy: it "
                "would end with the one in trouble"
            )
        elif args.save_total_limit:
            _logger.warning(
                "save_total_limit %d: beside the newest, checkpoint-0 and %d others are kept for "
                "guards to go back to; with a higher limit less is lost when they do",
                *(args.save_total_limit, NUM_FALLBACKS - 1),
            )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remember an evaluation; it is told with the step it belongs to."""
        self.record.evaluation |= {k: v for k, v in (logs or {}).items() if k.startswith("eval/")}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the weights the update has made, ask, and do what is answered."""
        if not all_finite(self.trainer.model.parameters(), self.trainer.accelerator):
            self.trainer.add_metrics({"signal/weights_not_finite": 1.0})
        now = time.monotonic()
        self.record.seconds, self._last_look = self.record.seconds + now - self._last_look, now
        report = StepReport(
            step=state.global_step,
            metrics=without_labels(
                {**self.record.evaluation, **self.newest.take(self.trainer.logged)}
            ),
            max_completion_length=self.trainer.args.max_completion_length,
            sampled_tokens=self.trainer.costs.total["num_sampled_tokens"],
            seconds=self.record.seconds,
        )
        self.record.evaluation = {}
        answers, problem = from_main_process(self._ask(report))
        if problem:
            raise InputError(problem)
        known = self.record.troubled
        self.record.troubled = {
            name: verdict.cause for name, verdict in answers.items() if verdict.is_trouble
        }
        for name, verdict in gravest_last(answers).items():
            if verdict.action != "warn" or name not in known:  # told when it began
                self._act(name, verdict, state.global_step, control)

    def _ask(self, report: StepReport) -> Generator[None, None, tuple[dict[str, Verdict], str]]:
        """Return the answers that are not to go on; what a user has to mend, for all ranks."""
        yield
        answers = {}
        try:
            for name, guard in self.guards.items():
                answers[name] = checked(name, call_plugin(f"guard {name!r}", guard.check, report))
        except InputError as error:
            return {}, str(error)
        return {name: found for name, found in answers.items() if found.action != "go_on"}, ""

    def _act(self, name: str, verdict: Verdict, step: int, control: TrainerControl) -> None:
        event = Event(
            step=step,
            guard=name,
            action=verdict.action,
            cause=verdict.cause,
            healthy_step=verdict.healthy_step,
            failed=verdict.failed,
        )
        if verdict.healthy_step is not None:
            event.good_checkpoint = self._good_checkpoint(verdict.healthy_step)
        if verdict.action in ("roll_back", "stop") and event.good_checkpoint is not None:
            event.checkpoint = event.good_checkpoint
            self.trainer.roll_back(self.output_dir / f"checkpoint-{event.checkpoint}")
            self.record.abandoned.append((event.checkpoint + 1, step))
        is_spent = len(self.record.abandoned) > MAX_ROLL_BACKS
        if verdict.action == "stop" or (
            verdict.action == "roll_back" and (is_spent or event.checkpoint is None)
        ):
            event.action = "stop"
            control.should_training_stop = True
            control.should_save = False
            self.trainer.sampling.give_up()
        elif verdict.action != "warn":
            factor = verdict.learning_rate_factor
            scale_schedule(self.trainer.lr_scheduler, self.trainer.optimizer, factor)
            event.learning_rate_factor = factor
        self.record.events.append(event)
        self._protect()
        if self.trainer.accelerator.is_main_process:
            hint = advice(event, self.output_dir, self.trainer.args.learning_rate)
            is_left = event.checkpoint is None
            _logger.warning("step %d: %s%s", step, event.sentence(), hint if is_left else "")
        for listener in self.listeners:
            listener(event)

    def _good_checkpoint(self, healthy_step: int) -> int | None:
        def look() -> Generator[None, None, int | None]:
            yield
            return newest_checkpoint(self.output_dir, healthy_step, self.record.abandoned)

        return from_main_process(look())

    def _protect(self) -> None:
        """Never delete what a guard last called good, nor keep for it what it has given up."""
        good = [e.good_checkpoint for e in self.record.events if e.good_checkpoint is not None]
        self.trainer.checkpoints.protected = good[-1:]
        self.trainer.checkpoints.abandoned = self.record.abandoned


def checked(name: str, verdict: Any) -> Verdict:
    """Return what a guard answered, if it is an answer.

    Raises:
        InputError: If it is none, or goes back without saying where to.
    """
    if not (
        isinstance(verdict, Verdict)
        and verdict.action in ACTIONS
        and isinstance(verdict.cause, str)
        and isinstance(verdict.healthy_step, int | None)
        and 0.0 < verdict.learning_rate_factor <= 1.0
    ):
        raise InputError(
            f"guard {name!r}: got {verdict!r}, expected a Verdict with one of the actions "
            f"{', '.join(ACTIONS)}, a whole healthy_step or None, and a learning_rate_factor in "
            "(0, 1]. Mend the guard."
        )
    if verdict.action == "roll_back" and verdict.healthy_step is None:
        raise InputError(
            f"guard {name!r}: got the action roll_back without a healthy_step, expected the step "
            "to go back to. Tell it, or answer stop."
        )
    return verdict


def gravest_last(answers: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Order answers so that one is acted on, the gravest, after the others were told as warnings.

    It goes back as far as any of those that would go back.

    Example:
        >>> found = gravest_last({
        ...     "budget": Verdict(action="stop"),
        ...     "collapse": Verdict(action="roll_back", healthy_step=7),
        ... })
        >>> [(name, verdict.action, verdict.healthy_step) for name, verdict in found.items()]
        [('collapse', 'warn', 7), ('budget', 'stop', 7)]
    """
    in_order = sorted(answers.items(), key=lambda item: ACTIONS.index(item[1].action))
    told = {name: replace(verdict, action="warn") for name, verdict in in_order[:-1]}
    for name, gravest in in_order[-1:]:
        healthy = [
            verdict.healthy_step
            for verdict in answers.values()
            if verdict.action in ("roll_back", "stop") and verdict.healthy_step is not None
        ]
        if healthy:
            gravest = replace(gravest, healthy_step=min(healthy))
        told[name] = gravest
    return told


def newest_checkpoint(
    output_dir: Path, last_step: int, abandoned: list[tuple[int, int]]
) -> int | None:
    """Find the newest whole checkpoint up to a step that is in no stretch that was given up."""
    for folder in reversed(list_checkpoints(output_dir)):
        step = named_step(folder)
        if (
            step <= last_step
            and not is_within(step, abandoned)
            and checkpoint_problem(folder) is None
        ):
            return step
    return None
