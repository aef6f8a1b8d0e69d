"""What guards did in a run, told in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(kw_only=True)
class Event:
    """Something a guard answered.

    Attributes:
        step: Optimizer steps taken by then.
        guard: Its name.
        action: What was done; "stop" also where a roll-back was not possible.
        cause: Why, one sentence without a full stop.
        healthy_step: Step after which the policy was last in order; None: unknown.
        failed: Whether the run counts as failed.
        checkpoint: Step of the checkpoint that was gone back to; None: none was.
        learning_rate_factor: What the learning rate was multiplied by.
    """

    step: int
    guard: str
    action: str
    cause: str
    healthy_step: int | None = None
    failed: bool = False
    checkpoint: int | None = None
    learning_rate_factor: float = 1.0

    def sentence(self) -> str:
        """Say what happened.

        Example:
            >>> Event(step=9, guard="budget", action="stop", cause="9 steps are spent").sentence()
            'budget: 9 steps are spent: stopped.'
        """
        back = (
            "" if self.checkpoint is None else f" with the policy of checkpoint-{self.checkpoint}"
        )
        rate = f"the learning rate multiplied by {self.learning_rate_factor:g}"
        done = {
            "warn": "",
            "lower_learning_rate": f": {rate}",
            "roll_back": f": rolled back to checkpoint-{self.checkpoint}, {rate}",
            "stop": f": stopped{back}",
        }[self.action]
        return f"{self.guard}: {self.cause}{done}."


def verdict_line(events: Sequence[Event], troubled: Mapping[str, str], step: int) -> str:
    """Sum a run up in one line, the worst that is still so first.

    Args:
        events: What guards did.
        troubled: Guard -> cause, of those that saw trouble at the last step.
        step: The last step.

    Returns:
        "failed: ...", "stopped at step N: ...", "collapsing since step N: ...", or "healthy: ...".
    """
    last = events[-1] if events else None
    if last is not None and last.action == "stop":
        word = "failed" if last.failed else "stopped"
        return f"{word} at step {last.step}: {last.sentence()}"
    for guard, cause in troubled.items():
        started = [event for event in events if event.guard == guard]
        since = started[-1].healthy_step if started else None
        since = f"since step {since + 1}" if since is not None else f"at step {step}"
        word = "collapsing" if guard == "collapse" else f"in trouble ({guard})"
        return f"{word} {since}: {cause}."
    if not events:
        return f"healthy: no guard saw trouble in {step} steps."
    told = " ".join(f"Step {event.step}, {event.sentence()}" for event in events)
    return f"healthy at step {step}, after trouble. {told}"
