"""A guard that goes back at a step it is told, for tests of what going back does."""

import os
import signal
from pathlib import Path

from rl.training.guards.contract import GO_ON, Verdict


class AtStep:
    """Answers once.

    Args:
        step: When.
        action: What.
        healthy_step: Step it goes back to.
        signalled: File; if it is not there yet, the process gets a SIGTERM with the answer.
    """

    goes_back = True

    def __init__(
        self, step: int, action: str, healthy_step: int, signalled: str | None = None
    ) -> None:
        self.step, self.action = step, action
        self.signalled = signalled
        self.verdict = Verdict(
            action=action,  # type: ignore[arg-type]
            cause="the time has come",
            healthy_step=healthy_step,
            learning_rate_factor=0.5,
        )

    def check(self, report):
        """Answer at the step."""
        if report.step != self.step:
            return GO_ON
        if self.signalled and not Path(self.signalled).exists():
            Path(self.signalled).touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return self.verdict
