"""ECHO's tree: a root is left where it is unsure and gets no surer; what stays unsure is pruned."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from rl.errors import InputError
from rl.rollouts.branching.contract import Fork, TokenRow
from rl.settings import Count, CountOrNone, Finite, NonNegative, NumSamples, checked


def trailing_means(values: list[float], window: int) -> list[float]:
    """Average each value with those before it, `window` of them at most.

    Example:
        >>> trailing_means([1.0, 3.0, 5.0], 2)
        [1.0, 2.0, 4.0]
    """
    parts = [values[max(0, t + 1 - window) : t + 1] for t in range(len(values))]
    return [sum(part) / len(part) for part in parts]


@checked
@dataclass(frozen=True, kw_only=True)
class EntropyConfidence:
    """Entropy-confidence hybrid branching, and pruning by confidence (ECHO).

    With H[t] the entropy and C[t] the confidence of token t, CG[t] and CT[t] the means of C over
    the last `group_window` and `tail_window` tokens up to t, and D[t] = H[t] minus the mean of the
    `entropy_window` entropies before it (0 at t = 0):

        fork at the first t >= min_depth with H >= entropy_high, CG <= branch_threshold and
            D >= entropy_delta_threshold
        width = round(min_branches + alpha (H - entropy_low) / (entropy_high - entropy_low)
                      - beta (CG - branch_threshold) / branch_threshold), cut to
                min_branches..max_branches; width - 1 branches leave beside the root
        prune behind the first t where the least CG so far < prune_threshold; or CT fell in each
            of the last `tail_decline_steps` steps and is <= tail_threshold; or D was above 0 in
            each of the last `delta_rise_steps` and is > delta_upper

    Source: ECHO, arXiv 2602.02150, code user683/ECHO@6f7b311,
    verl/verl/workers/rollout/deepconf_branching.py and vllm_rollout_spmd.py; the windows, alpha,
    beta, widths and the thresholds of entropy are those of verl/trainer/config/ppo_trainer.yaml.
    ECHO's advantages and clip are the token selector `rewards.entropy_confidence`.
    Differs: the three thresholds of confidence are ours. The code's are 1.2, 1.0 and 0.4; the
    confidence that it takes is at least log 5 = 1.61, so that it never forks nor prunes, and by the
    paper's (mean probability of the 5 likeliest tokens, at most 0.2, as a review of it says) every
    completion would be cut at its first token. It cannot run either: it reads a setting
    `group_window` that its class does not know, and its scripts switch branching off. H and C are
    of the whole distribution instead of its 10 likeliest tokens, whose entropy is below 3.5. A
    branch draws its first token; the code gives each the next most likely one, which no policy
    sampled. Completions are pruned when they are there, as in the code: it saves no tokens.
    Fails when: a policy is sure of a wrong answer: nothing forks and all is as without branching.

    Attributes:
        num_roots: Completions of a prompt that may be left; the code leaves one.
        min_depth: First position of a fork; the last token of a shorter completion.
        min_branches: Least width.
        max_branches: Largest width.
        prune: Whether completions are pruned.
    """

    needs_confidences: ClassVar[bool] = True

    num_roots: NumSamples = 1
    min_depth: CountOrNone = 4
    entropy_high: NonNegative = 3.5
    entropy_low: NonNegative = 1.0
    entropy_window: Count = 4
    entropy_delta_threshold: Finite = 0.2
    group_window: Count = 4
    branch_threshold: NonNegative = 3.0
    alpha: Finite = 2.0
    beta: Finite = 1.0
    min_branches: Count = 1
    max_branches: Count = 4
    prune: bool = True
    prune_threshold: NonNegative = 1.7
    tail_window: Count = 8
    tail_decline_steps: Count = 3
    tail_threshold: NonNegative = 2.0
    delta_rise_steps: Count = 3
    delta_upper: NonNegative = 0.5

    def __post_init__(self) -> None:
        if self.min_branches > self.max_branches:
            raise InputError(
                f"branching.entropy_confidence.min_branches: got {self.min_branches}, expected at "
                f"most max_branches ({self.max_branches}). Lower it."
            )
        if self.entropy_low >= self.entropy_high:
            raise InputError(
                f"branching.entropy_confidence.entropy_low: got {self.entropy_low}, expected less "
                f"than entropy_high ({self.entropy_high}). Lower it."
            )

    def forks(self, root: TokenRow) -> list[Fork]:
        """Choose the first token that meets the conditions, if there is one."""
        rises, confidences = self._rises(root), self._grouped(root)
        first = min(self.min_depth, max(0, len(root.entropies) - 1))
        for t in range(first, root.num_positions):
            is_unsure = root.entropies[t] >= self.entropy_high
            is_unsure &= confidences[t] <= self.branch_threshold
            if is_unsure and rises[t] >= self.entropy_delta_threshold:
                others = self.width(root.entropies[t], confidences[t]) - 1
                return [Fork(position=t, num_branches=others)] if others else []
        return []

    def width(self, entropy: float, confidence: float) -> int:
        """Say how many completions leave a token, the root among them."""
        span = self.entropy_high - self.entropy_low
        threshold = max(self.branch_threshold, 1e-9)
        raw = self.min_branches + self.alpha * (entropy - self.entropy_low) / span
        raw -= self.beta * (confidence - self.branch_threshold) / threshold
        return min(max(round(raw), self.min_branches), self.max_branches)

    def num_kept(self, row: TokenRow) -> int | None:
        """Say how many tokens of a completion are left, the one at which it is pruned included."""
        if not self.prune:
            return None
        rises, confidences = self._rises(row), self._grouped(row)
        tails = trailing_means(list(row.confidences), self.tail_window)
        falls = [False, *(later < earlier for earlier, later in pairwise(tails))]
        num_falls = num_rises = 0
        for t, rise in enumerate(rises):
            num_falls = num_falls + 1 if falls[t] else 0
            num_rises = num_rises + 1 if rise > 0 else 0
            if (
                confidences[t] < self.prune_threshold
                or (num_falls >= self.tail_decline_steps and tails[t] <= self.tail_threshold)
                or (num_rises >= self.delta_rise_steps and rise > self.delta_upper)
            ):
                return t + 1
        return None

    def _grouped(self, row: TokenRow) -> list[float]:
        return trailing_means(list(row.confidences), self.group_window)

    def _rises(self, row: TokenRow) -> list[float]:
        """By how much each entropy lies above the mean of those before it; 0 for the first."""
        before = trailing_means(list(row.entropies), self.entropy_window)
        return [0.0, *(h - mean for h, mean in zip(row.entropies[1:], before, strict=False))]
