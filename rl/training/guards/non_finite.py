"""Non-finite guard: ends a run whose gradients or weights are no numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import PositiveInt

from rl.settings import checked
from rl.training.guards.contract import GO_ON, StepReport, Verdict


@checked
@dataclass(kw_only=True)
class NonFiniteGuard:
    """Stops the run, as failed, after a few updates in a row without a finite gradient.

    Such an update is not made (`rl.training.host`), so the weights are still those before it. A
    single one may be due to one batch; several in a row will not mend themselves. Weights that are
    no numbers stop the run at once.

    Attributes:
        max_in_a_row: Updates that may be skipped one after another.
    """

    max_in_a_row: PositiveInt = 3
    num_in_a_row: int = field(default=0, init=False)
    num_skipped: int = field(default=0, init=False)

    def check(self, report: StepReport) -> Verdict:
        """Count."""
        if report.metrics.get("signal/weights_not_finite"):
            cause = f"after the update of step {report.step} weights are not finite"
            return Verdict(action="stop", cause=cause, healthy_step=report.step - 1, failed=True)
        if not report.metrics.get("signal/update_skipped"):
            self.num_in_a_row = 0
            return GO_ON
        self.num_in_a_row += 1
        self.num_skipped += 1
        cause = (
            f"the gradient was not finite in {self.num_in_a_row} steps in a row "
            f"({self.num_skipped} in all), whose updates were not made"
        )
        if self.num_in_a_row > self.max_in_a_row:
            return Verdict(action="stop", cause=cause, failed=True)
        return Verdict(action="warn", cause=cause)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"num_in_a_row": self.num_in_a_row, "num_skipped": self.num_skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.num_in_a_row, self.num_skipped = state["num_in_a_row"], state["num_skipped"]
