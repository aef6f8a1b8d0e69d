"""What guards did in a run, told in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


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
        good_checkpoint: Step of the newest checkpoint up to `healthy_step`; None: there was none.
        learning_rate_factor: What the learning rate was multiplied by.
    """

    step: int
    guard: str
    action: str
    cause: str
    healthy_step: int | None = None
    failed: bool = False
    checkpoint: int | None = None
    good_checkpoint: int | None = None
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


def verdict_line(
    events: Sequence[Event],
    troubled: Mapping[str, str],
    step: int,
    output_dir: Path,
    learning_rate: float,
) -> str:
    """Sum a run up in one line, the worst that is still so first.

    Args:
        events: What guards did.
        troubled: Guard -> cause, of those that saw trouble at the last step.
        step: The last step.
        output_dir: Where the run's checkpoints lie.
        learning_rate: The run's.

    Returns:
        "failed: ...", "stopped at step N: ...", "collapsing since step N: ..." (also of a run that
        another guard stopped), or "healthy: ...";
        where the last policy is in trouble, which one is still good and how to go on from it.
    """
    last = events[-1] if events else None
    ended = ""
    if last is not None and last.action == "stop":
        line = f"at step {last.step}: {last.sentence()}"
        others = troubled.keys() - {last.guard}
        if last.failed or not others:
            word = "failed" if last.failed else "stopped"
            known = "" if last.checkpoint is not None else advice(last, output_dir, learning_rate)
            return f"{word} {line}{known}"
        # A budget that is spent must not hide that the policy is in trouble.
        ended = f" Stopped {line}"
    for guard, cause in troubled.items():
        started = [event for event in events if event.guard == guard]
        healthy = started[-1].healthy_step if started else None
        since = f"since step {healthy + 1}" if healthy is not None else f"at step {step}"
        word = "collapsing" if guard == "collapse" else f"in trouble ({guard})"
        line = f"{word} {since}: {cause}.{ended}"
        return line + advice(started[-1], output_dir, learning_rate) if started else line
    if not events:
        return f"healthy: no guard saw trouble in {step} steps."
    told = " ".join(f"Step {event.step}, {event.sentence()}" for event in events)
    return f"healthy at step {step}, after trouble. {told}"


def advice(event: Event, output_dir: Path, learning_rate: float) -> str:
    """Say which policy a guard last called good, and how to go on from it; "" if it named none."""
    if event.healthy_step is None:
        return ""
    gentler = f"--learning_rate {learning_rate / 10:.1e}"
    if event.good_checkpoint:
        folder = output_dir / f"checkpoint-{event.good_checkpoint}"
        return (
            f" {folder} is still good: the same command with --resume_from_checkpoint {folder} "
            f"{gentler} --accept_changes '[learning_rate]' goes on from it."
        )
    return (
        f" No checkpoint up to step {event.healthy_step} holds what was trained: start again from "
        f"the model, with {gentler} and another --output_dir."
    )
