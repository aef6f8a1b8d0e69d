"""Signals that ask a run to stop: it saves at the next step boundary and ends with its own status.

SIGTERM comes from schedulers and launchers, SIGUSR1 from schedulers that warn before the time is
up, SIGINT from Ctrl-C. A signal may reach one rank only; all ranks stop at the same step.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.errors import RunStopped

TO_GO_ON = "The same command with --resume_from_checkpoint auto goes on."
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopSignals:
    """Listens while it is entered; outside of the main thread, where none arrive, it does nothing.

    As long as there is no step to end, `RunStopped` is raised where the program is. Once
    `waits_for_step` is set a signal is kept in `received`, and who takes the steps asks for it. A
    second Ctrl-C ends the process at once.

    Attributes:
        received: The first signal; None so far.
        waits_for_step: Whether steps are taken, so that there is something to save.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.waits_for_step = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        is_second = self.received is not None
        if is_second and number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = self.received or signal.Signals(number)
        if not self.waits_for_step:
            raise RunStopped(
                f"stopped by {self.received.name} outside of training steps, with nothing to save. "
                f"{TO_GO_ON}"
            )
        if not is_second:
            # Not through `print`, which this may have interrupted.
            os.write(2, f"\n{self.received.name}: saving after this step\n".encode())


class StopAtSignal(TrainerCallback):
    """Saves a checkpoint at the end of the step in which a signal came, and ends the run.

    It must come after all callbacks that belong to the end of a step.

    Args:
        signals: Where they arrive.
        accelerator: Knows the ranks.
    """

    def __init__(self, signals: StopSignals, accelerator: Accelerator) -> None:
        self.signals = signals
        self.accelerator = accelerator
        self.stops = False

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From the first step on there is something to save."""
        self.signals.waits_for_step = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Agree with all ranks on whether one of them was told to stop."""
        told = torch.tensor(float(self.signals.received is not None), device=args.device)
        self.stops = bool(self.accelerator.reduce(told, reduction="sum"))
        control.should_save = control.should_save or self.stops

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the run: nothing is evaluated or written that an undisturbed run would not."""
        if self.stops:
            self.accelerator.wait_for_everyone()
            name = self.signals.received.name if self.signals.received else "a signal to a rank"
            raise RunStopped(
                f"stopped by {name} after step {state.global_step}, which is saved. {TO_GO_ON}"
                if state.is_world_process_zero
                else ""
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """After the last step everything is saved."""
        self.signals.waits_for_step = False
