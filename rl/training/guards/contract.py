"""What a guard sees of a step, and what it may answer.

A guard is an object with `check(report) -> Verdict`. It is asked once for every step, on the main
process alone, and what it answers is done on all ranks. Its verdicts must be a function of the
reports it was given, so that a resumed run and a replay of metrics.jsonl decide alike. To add one,
write `rl/training/guards/<idea>.py` and name it in `rl.training.guards.registry.GUARDS`.

A guard may also have
    goes_back = True
        if it may answer roll_back, or stop with a `healthy_step` (`action`, where it has one, says
        whether it does in this run): then there are checkpoints to go back to
    state_dict(), load_state_dict(state)
        a memory as plain JSON, saved in checkpoints; a run that is rolled back to a checkpoint goes
        on with the memory of that checkpoint
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rl.evaluation.metrics.criteria import LABEL_FREE_METRICS

# From harmless to grave; of several guards the gravest answer is followed.
ACTIONS = ("go_on", "warn", "lower_learning_rate", "roll_back", "stop")
Action = Literal["warn", "lower_learning_rate", "roll_back", "stop"]


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step says of itself, without any label.

    Attributes:
        step: Optimizer steps taken. Rollouts are those of the policy one step earlier.
        metrics: Name -> number as in metrics.jsonl, what is not a finite number left out. So a step
            without new rollouts has no vote/ metrics. Among them: vote/majority_ratio, vote/kappa,
            vote/flip_frac, vote/settled_flips, vote/num_clusters, vote/unanimous_frac,
            vote/truncated_frac, vote/abstained_frac, vote/repetition, completions/mean_length,
            entropy, grad_norm, cost/rows_skipped_frac (rows that teach nothing), kl (to the start,
            where `beta` is not 0), signal/update_skipped (a gradient that was no number),
            reward/<name>/num_not_finite, signal/weights_not_finite, selfplay/, and, of a step with
            an evaluation, what that needs no label for, eval/.
        max_completion_length: Most tokens of a completion.
        sampled_tokens: Sampled so far in the run, over all devices.
        seconds: Spent so far on the run, what a stopped run spent before it was resumed included.
    """

    step: int
    metrics: Mapping[str, float]
    max_completion_length: int
    sampled_tokens: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a guard answers.

    Attributes:
        action: One of `ACTIONS`. "lower_learning_rate" and "roll_back" multiply the learning rate;
            "roll_back" takes weights, optimizer and memories of the newest checkpoint up to
            `healthy_step`; "stop" does the same where `healthy_step` is told, and ends training.
        cause: One sentence, without a full stop.
        healthy_step: Optimizer steps after which the policy was last in order; None: unknown.
        learning_rate_factor: In (0, 1].
        failed: Whether a stopped run ends with an exit status other than 0.

    Example:
        >>> Verdict(action="stop", cause="a budget is spent").is_trouble
        False
        >>> Verdict(action="warn").is_trouble, Verdict(action="stop", healthy_step=3).is_trouble
        (True, True)
    """

    action: Literal["go_on", "warn", "lower_learning_rate", "roll_back", "stop"]
    cause: str = ""
    healthy_step: int | None = None
    learning_rate_factor: float = 1.0
    failed: bool = False

    @property
    def is_trouble(self) -> bool:
        """Whether it speaks against the policy; a plain end of the run does not."""
        is_plain_end = self.action == "stop" and self.healthy_step is None and not self.failed
        return self.action != "go_on" and not is_plain_end


GO_ON = Verdict(action="go_on")


class Guard(Protocol):
    """Watches a run."""

    def check(self, report: StepReport) -> Verdict:
        """Look at the newest step."""
        ...


def without_labels(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Leave out of logged metrics what saw a label, and what is not a number.

    Example:
        >>> without_labels({"entropy": 0.1, "kl": None, "audit/accuracy": 0.9, "eval/pass@1": 0.5})
        {'entropy': 0.1}
    """
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < float("inf")
        and not name.startswith("audit/")
        and (not name.startswith("eval/") or name.rpartition("/")[2] in LABEL_FREE_METRICS)
    }
