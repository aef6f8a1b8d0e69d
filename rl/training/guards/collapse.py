"""Collapse guard: sees that a policy forgets what it could, from its own answers alone.

A policy that grows sure of right answers and one that grows sure of wrong ones look alike in their
reward, majority ratio and entropy. Two things tell them apart:

* A healthy policy keeps its majorities. Where a prompt's leading answer had at least half of the
  votes and another one leads at a later visit, something that was settled came loose.
* A healthy policy's answers depend on the prompt. Fleiss' kappa over groups (`rl.groups.kappa`)
  falls when all prompts get the same answer, none, or any, however sure the policy is.

Beside them, completions that grow until they are cut off, hold no answer or repeat themselves.

What this cannot see: majorities that are wrong from the start and are voted in, which keep their
leading answers; and, before prompts come again, a policy whose new answers depend on the prompt as
the old ones did.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import sqrt
from statistics import fmean
from typing import Any

from pydantic import PositiveInt

from rl.settings import PositiveShare, Share, checked
from rl.training.guards.contract import GO_ON, Action, StepReport, Verdict

# Visits of settled prompts that are judged together, and how many it takes.
NUM_VISITS, MIN_VISITS = 96, 24
# Reports that make the picture of the start.
NUM_FIRST = 5
# What a share must have risen by, and kappa fallen by, whatever the settings say.
LEAST_RISE, LEAST_FALL = 0.25, 0.1


@dataclass
class Memory:
    """What the guard remembers, as plain JSON.

    Attributes:
        visits: Newest reports with settled prompts: step, how many, how many flipped, steps since
            their last visits.
        newest: Signal -> its values in the newest reports, at most `window`.
        first: Signal -> mean of its first `NUM_FIRST` values, in the making as a list.
        peak: Highest mean of kappa over a window, and the step it ended on.
        calm_step: Last step at which no share was above its start.
        alarm: Cause and healthy step, once there is an alarm.
    """

    visits: list[list[float]] = field(default_factory=list)
    newest: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, list[float]] = field(default_factory=dict)
    peak: list[float] = field(default_factory=lambda: [0.0, 0.0])
    calm_step: int = 0
    alarm: list[Any] | None = None


@checked
@dataclass(kw_only=True)
class CollapseGuard:
    """Raises an alarm that lasts: a policy that has collapsed does not come back by itself.

    Attributes:
        action: What to do. "lower_learning_rate" starts to watch anew after it.
        learning_rate_factor: What "lower_learning_rate" and "roll_back" multiply with.
        max_flip_share: Share of settled prompts that may change their leading answer between two
            visits. The lower end of the share's 95% interval (Wilson) is held against two thirds of
            it, the share itself against the whole.
        max_kappa_fall: Share of kappa's highest mean that it may lose.
        max_useless_share: Share of completions that may be cut off, or hold no answer; and mean
            share of a completion that may repeat itself.
        window: Reports whose mean is looked at.
    """

    action: Action = "warn"
    learning_rate_factor: PositiveShare = 0.3
    max_flip_share: Share = 0.15
    max_kappa_fall: Share = 0.4
    max_useless_share: Share = 0.5
    window: PositiveInt = 10
    memory: Memory = field(default_factory=Memory, init=False, repr=False)

    def check(self, report: StepReport) -> Verdict:
        """Look at the newest step; without new rollouts nothing changes."""
        memory = self.memory
        if "vote/majority_ratio" in report.metrics and memory.alarm is None:
            self._remember(report)
            found = self._flips() or self._kappa(report) or self._useless(report)
            if found is not None:
                memory.alarm = list(found)
        if memory.alarm is None:
            return GO_ON
        cause, healthy_step = memory.alarm
        if self.action == "lower_learning_rate":
            self.memory = Memory(first=memory.first, calm_step=report.step)
        return Verdict(
            action=self.action,
            cause=cause,
            healthy_step=healthy_step,
            learning_rate_factor=self.learning_rate_factor,
        )

    def _remember(self, report: StepReport) -> None:
        memory, metrics = self.memory, report.metrics
        for name in ("vote/kappa", "entropy", *_USELESS):
            if name in metrics:
                first = memory.first.setdefault(name, [])
                if len(first) < NUM_FIRST:
                    first.append(metrics[name])
                newest = [*memory.newest.get(name, []), metrics[name]]
                memory.newest[name] = newest[-self.window :]
        settled = metrics.get("vote/num_settled", 0)
        if settled:
            flips, gap = metrics["vote/settled_flips"], metrics["vote/settled_gap"]
            memory.visits.append([report.step, settled, flips, gap])
            while sum(visit[1] for visit in memory.visits[1:]) >= NUM_VISITS:
                memory.visits.pop(0)

    def _flips(self) -> tuple[str, int] | None:
        visits = self.memory.visits
        settled = sum(visit[1] for visit in visits)
        flips = sum(visit[2] for visit in visits)
        if settled < MIN_VISITS or flips / settled <= self.max_flip_share:
            return None
        if wilson_low(flips, settled) <= self.max_flip_share * 2 / 3:
            return None
        gap = fmean(visit[3] for visit in visits)
        cause = (
            f"{flips:.0f} of {settled:.0f} prompts that had a majority gave it to another answer "
            f"within {gap:.0f} steps"
        )
        # The policy of a report is one update behind it; that of the last visit is `gap` further.
        return cause, max(0, int(min(step - 1 - gap for step, _, _, gap in visits)))

    def _kappa(self, report: StepReport) -> tuple[str, int] | None:
        memory = self.memory
        newest, first = memory.newest.get("vote/kappa", []), memory.first.get("vote/kappa", [])
        if len(newest) < self.window:
            return None
        now, start = fmean(newest), fmean(first)
        if now > memory.peak[0]:
            memory.peak = [now, report.step]
        best = max(start, memory.peak[0])
        if best - now < max(LEAST_FALL, self.max_kappa_fall * best):
            return None
        cause = f"answers depend less on the prompt: kappa fell from {best:.2f} to {now:.2f}"
        if report.metrics.get("vote/unanimous_frac") == 1.0:
            cause += ", every group is unanimous"
        entropy = memory.newest.get("entropy")
        if entropy:
            before, after = fmean(memory.first["entropy"]), fmean(entropy)
            verb = "fell" if after < before else "rose"
            cause += f", the entropy {verb} from {before:.2f} to {after:.2f}"
        # A peak that is no higher than the start may be the start of the fall.
        rose = memory.peak[0] - start >= LEAST_FALL
        return cause, max(0, int(memory.peak[1]) - self.window) if rose else 0

    def _useless(self, report: StepReport) -> tuple[str, int] | None:
        memory, calm = self.memory, True
        for name, describe in _USELESS.items():
            newest, first = memory.newest.get(name, []), memory.first.get(name, [])
            if len(newest) < self.window:
                continue
            now, start = fmean(newest), fmean(first)
            if now > max(self.max_useless_share, start + LEAST_RISE):
                return describe(now, start, report.max_completion_length), memory.calm_step
            calm &= newest[-1] <= start + LEAST_RISE / 2
        if calm:
            memory.calm_step = max(0, report.step - 1)
        return None

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as plain JSON."""
        return asdict(self.memory)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.memory = Memory(**state)


def wilson_low(count: float, total: float) -> float:
    """Lower end of the 95% interval of a share (Wilson, JASA 22, 1927).

    Example:
        >>> round(wilson_low(9, 60), 3), wilson_low(0, 60)
        (0.081, 0.0)
    """
    z = 1.96
    share = count / total
    middle = share + z * z / (2 * total)
    width = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (middle - width) / (1 + z * z / total))


def _say(now: float, start: float, what: str) -> str:
    if now > 0.995:
        return f"all completions {what}"
    return f"{now:.0%} of the completions {what}, {start:.0%} at the start"


_USELESS = {
    "vote/truncated_frac": lambda now, start, limit: _say(now, start, f"reach {limit} tokens"),
    "vote/abstained_frac": lambda now, start, limit: _say(now, start, "hold no answer"),
    "vote/repetition": lambda now, start, limit: (
        f"{now:.0%} of a completion repeats what it said before, {start:.0%} at the start"
    ),
}
