"""Budget guard: stops a run that has spent its tokens, its seconds or its steps."""

from dataclasses import dataclass

from pydantic import NonNegativeFloat, NonNegativeInt

from rl.errors import InputError
from rl.settings import checked
from rl.training.guards.contract import GO_ON, Action, StepReport, Verdict


@checked
@dataclass(frozen=True, kw_only=True)
class BudgetGuard:
    """Acts after the step with which a budget is spent; 0 is no limit.

    Attributes:
        max_tokens: Sampled tokens, over all devices.
        max_seconds: Seconds of the run, those before it was resumed included.
        max_steps: Optimizer steps. The learning rate's schedule stays that of the recipe's
            `max_steps`.
        action: What to do.

    Raises:
        InputError: If no limit is set.
    """

    max_tokens: NonNegativeInt = 0
    max_seconds: NonNegativeFloat = 0.0
    max_steps: NonNegativeInt = 0
    action: Action = "stop"

    def __post_init__(self) -> None:
        if not (self.max_tokens or self.max_seconds or self.max_steps):
            raise InputError(
                "guards.budget: got no limit, expected one. Set max_tokens, max_seconds or "
                "max_steps."
            )

    def check(self, report: StepReport) -> Verdict:
        """Compare what is spent with what there is."""
        for spent, limit, unit in (
            (report.sampled_tokens, self.max_tokens, "sampled tokens"),
            (report.seconds, self.max_seconds, "seconds"),
            (report.step, self.max_steps, "steps"),
        ):
            if limit and spent >= limit:
                cause = f"{spent:.0f} {unit} are spent of a budget of {limit:.0f}"
                return Verdict(action=self.action, cause=cause)
        return GO_ON
