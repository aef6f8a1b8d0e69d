"""A guard that goes back at a step it is told, for tests of what going back does."""

from rl.training.guards.contract import GO_ON, Verdict


class AtStep:
    """Answers once.

    Args:
        step: When.
        action: What.
        healthy_step: Step it goes back to.
    """

    goes_back = True

    def __init__(self, step: int, action: str, healthy_step: int) -> None:
        self.step, self.action = step, action
        self.verdict = Verdict(
            action=action,  # type: ignore[arg-type]
            cause="the time has come",
            healthy_step=healthy_step,
            learning_rate_factor=0.5,
        )

    def check(self, report):
        """Answer at the step."""
        return self.verdict if report.step == self.step else GO_ON
