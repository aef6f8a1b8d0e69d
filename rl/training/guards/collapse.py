"""Collapse guard: sees that a policy forgets what it could, from its own answers alone.

A policy that grows sure of right answers and one that grows sure of wrong ones look alike in their
reward, majority ratio and entropy. Two things tell them apart:

* A healthy policy keeps its majorities. Where a prompt's leading answer had at least half of the
  votes and another one leads at a later visit, something that was settled came loose. Held-out
  prompts (`eval_prompts`) are visited at every evaluation, those of training once an epoch.
* A healthy policy's answers depend on the prompt. Fleiss' kappa over groups (`rl.groups.kappa`)
  falls when all prompts get the same answer, none, or any, however sure the policy is.

Beside them, completions that grow until they are cut off, hold no answer or repeat themselves.

What this cannot see: majorities that are wrong from the start and are voted in, which keep their
leading answers; and, before prompts come again, a policy whose new answers depend on the prompt as
the old ones did. What it cannot tell apart: a policy that gives up settled answers for worse ones
and one that does so for better ones; and when between two visits it began, so that the policy of
the earlier visit is called the last good one, which gives up what was learned since.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, ClassVar

from pydantic import PositiveInt

from rl.settings import PositiveShare, Share, checked
from rl.training.guards.contract import GO_ON, Action, StepReport, Verdict
from rl.training.guards.signs import (
    LEAST_FALL,
    LEAST_RISE,
    MAX_FLIP_SHARE,
    MAX_KAPPA_FALL,
    MAX_USELESS_SHARE,
    kappa_fell,
    share_rose,
    too_many_flips,
)

# Visits of settled prompts that are judged together.
NUM_VISITS = 96
# Reports that make the picture of the start.
NUM_FIRST = 5


@dataclass
class Memory:
    """What the guard remembers, as plain JSON.

    Attributes:
        visits: Newest reports with settled prompts: step, how many, how many flipped, steps since
            the oldest of their last visits.
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
            visits, see `rl.training.guards.signs.too_many_flips`.
        max_kappa_fall: Share of kappa's highest mean that it may lose.
        max_useless_share: Share of completions that may be cut off, or hold no answer; and mean
            share of a completion that may repeat itself.
        window: Reports whose mean is looked at.
    """

    action: Action = "warn"
    learning_rate_factor: PositiveShare = 0.3
    max_flip_share: Share = MAX_FLIP_SHARE
    max_kappa_fall: Share = MAX_KAPPA_FALL
    max_useless_share: Share = MAX_USELESS_SHARE
    window: PositiveInt = 10
    goes_back: ClassVar[bool] = True
    memory: Memory = field(default_factory=Memory, init=False, repr=False)

    def check(self, report: StepReport) -> Verdict:
        """Look at the newest step; without new rollouts or an evaluation nothing changes."""
        memory = self.memory
        if memory.alarm is None and self._remember(report):
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

    def _remember(self, report: StepReport) -> bool:
        """Remember what is new; say whether anything is."""
        memory, metrics = self.memory, report.metrics
        settled = [name for name in metrics if name.endswith("num_settled")]
        if not settled and "completions/mean_length" not in metrics:
            return False
        for name in ("vote/kappa", "entropy", *_USELESS):
            if name in metrics:
                first = memory.first.setdefault(name, [])
                if len(first) < NUM_FIRST:
                    first.append(metrics[name])
                newest = [*memory.newest.get(name, []), metrics[name]]
                memory.newest[name] = newest[-self.window :]
        for name in settled:
            kind = name.removesuffix("num_settled")  # vote/, eval/ or eval/<benchmark>/
            flips, gap = metrics[f"{kind}settled_flips"], metrics[f"{kind}settled_gap"]
            memory.visits.append([report.step, metrics[name], flips, gap])
        while sum(visit[1] for visit in memory.visits[1:]) >= NUM_VISITS:
            memory.visits.pop(0)
        return True

    def _flips(self) -> tuple[str, int] | None:
        visits = self.memory.visits
        settled = sum(visit[1] for visit in visits)
        flips = sum(visit[2] for visit in visits)
        if not too_many_flips(flips, settled, self.max_flip_share):
            return None
        gap = max(visit[3] for visit in visits)
        cause = (
            f"{flips:.0f} of {settled:.0f} prompts that had a majority gave it to another answer "
            f"within {gap:.0f} steps"
        )
        # The policy of a report is one update behind it; that of the oldest visit is `gap` further.
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
        if not kappa_fell(best, now, self.max_kappa_fall):
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
            if share_rose(start, now, self.max_useless_share):
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


def _say(now: float, start: float, what: str) -> str:
    if now > 0.995:
        return f"all completions {what}"
    return f"{now:.0%} of the completions {what}, {start:.0%} at the start"


_USELESS = {
    # The first one in self-play too, of the rows that are trained.
    "completions/clipped_ratio": lambda now, start, limit: _say(
        now, start, f"reach {limit} tokens"
    ),
    "vote/truncated_frac": lambda now, start, limit: _say(now, start, f"reach {limit} tokens"),
    "vote/abstained_frac": lambda now, start, limit: _say(now, start, "hold no answer"),
    "vote/repetition": lambda now, start, limit: (
        f"{now:.0%} of a completion repeats what it said before, {start:.0%} at the start"
    ),
}
