"""Non-finite guard: ends a run whose rewards, gradients or weights are no numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import PositiveInt

from rl.settings import checked
from rl.training.guards.contract import GO_ON, StepReport, Verdict

NOT_FINITE = "/num_not_finite"  # end of a metric of each reward that was not


@checked
@dataclass(kw_only=True)
class NonFiniteGuard:
    """Stops the run, as failed, after a few updates in a row without a finite gradient.

    Such an update is not made (`rl.training.update`), so the weights are still those before it. A
    single one may be due to one batch; several in a row will not mend themselves. A reward that is
    no number makes the gradient of its batch none. Weights that are none stop the run at once.

    Attributes:
        max_in_a_row: Updates that may be skipped one after another.
    """

    max_in_a_row: PositiveInt = 3
    num_in_a_row: int = field(default=0, init=False)
    num_skipped: int = field(default=0, init=False)
    rewards: list[str] = field(default_factory=list, init=False)  # that were none, in a row

    def check(self, report: StepReport) -> Verdict:
        """Count."""
        if report.metrics.get("signal/weights_not_finite"):
            cause = f"after the update of step {report.step} weights are not finite"
            return Verdict(action="stop", cause=cause, healthy_step=report.step - 1, failed=True)
        found = [name for name in report.metrics if name.endswith(NOT_FINITE)]
        if not found and not report.metrics.get("signal/update_skipped"):
            self.num_in_a_row, self.rewards = 0, []
            return GO_ON
        self.num_in_a_row += 1
        self.num_skipped += 1
        names = [name.removeprefix("reward/").removesuffix(NOT_FINITE) for name in found]
        self.rewards = list(dict.fromkeys([*self.rewards, *names]))
        culprits = "".join(f"reward {name!r} and so " for name in self.rewards)
        cause = (
            f"{culprits}the gradient was not finite in {self.num_in_a_row} steps in a row "
            f"({self.num_skipped} in all), whose updates were not made"
        )
        if self.num_in_a_row > self.max_in_a_row:
            return Verdict(action="stop", cause=cause, failed=True)
        return Verdict(action="warn", cause=cause)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        counts = {"num_in_a_row": self.num_in_a_row, "num_skipped": self.num_skipped}
        return {**counts, "rewards": self.rewards}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.num_in_a_row, self.num_skipped = state["num_in_a_row"], state["num_skipped"]
        self.rewards = state.get("rewards", [])  # an older version had none
