"""Canary guard: acts on what self-play measures of itself, `rl.selfplay.spell.canaries`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import PositiveInt

from rl.settings import checked
from rl.training.guards.contract import GO_ON, Action, StepReport, Verdict

ALARMS = "selfplay/num_alarms"


@checked
@dataclass(kw_only=True)
class CanaryGuard:
    """Acts when a canary has raised an alarm in each of several rounds in a row.

    What the alarms were about is in the log, a line each; their thresholds are the game's
    (`selfplay: {canaries: {...}}`).

    Attributes:
        num_rounds: Rounds in a row with an alarm.
        action: What to do.
        calm_step: Steps of the policy that played the last round without one.
    """

    num_rounds: PositiveInt = 3
    action: Action = "warn"
    goes_back: ClassVar[bool] = True
    num_in_a_row: int = field(default=0, init=False)
    calm_step: int = field(default=0, init=False)

    def check(self, report: StepReport) -> Verdict:
        """Count rounds with an alarm; a step without a round counts neither way."""
        alarms = report.metrics.get(ALARMS)
        if alarms is None:
            return GO_ON
        self.num_in_a_row = self.num_in_a_row + 1 if alarms else 0
        if not alarms:
            self.calm_step = max(0, report.step - 1)
        if self.num_in_a_row < self.num_rounds:
            return GO_ON
        return Verdict(
            action=self.action,
            cause=f"self-play's canaries raised alarms in {self.num_in_a_row} rounds in a row",
            healthy_step=self.calm_step,
            learning_rate_factor=0.5,
        )

    def state_dict(self) -> dict[str, Any]:
        """The count, and since when."""
        return {"num_in_a_row": self.num_in_a_row, "calm_step": self.calm_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.num_in_a_row = state["num_in_a_row"]
        self.calm_step = state.get("calm_step", 0)  # an older version had none
