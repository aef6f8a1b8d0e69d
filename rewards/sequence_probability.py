"""The probability of a completion as a reward: pays for what the policy finds likely.

Source: the trajectory-level entropy and probability rewards compared in arXiv 2603.08660.
    Reference code: PRIME-RL/TTRL, branch urlvr-dev, verl/verl/trainer/ppo/ttrl_utils.py.
Differs: the log-probabilities are those of the sampling distribution, temperature included.
Fails when: short and repetitive completions are the likeliest. "probability" favours short ones
    outright, and is 0.0 for every completion of more than a few hundred uncertain tokens, which
    then teach nothing.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from rewards.token_entropy import mean_or_none
from rl.settings import checked
from rl.types import Group, TokenStatistics


@checked
@dataclass(frozen=True, kw_only=True)
class SequenceProbability:
    """Pay the mean log-probability of the tokens, or the probability of the whole completion.

    trajectory_level_entropy: r_i = (1/T_i) sum_t log p_it
    probability:              r_i = exp(sum_t log p_it)

    Attributes:
        kind: "trajectory_level_entropy" (its negative, averaged over rollouts, estimates the
            entropy per token of whole completions) or "probability".

    Example:
        >>> from rl.types import Rollout
        >>> statistics = TokenStatistics(
        ...     logps=(-1.0, 0.0),
        ...     entropies=(1.0, 0.5),
        ...     self_certainties=(2.0, 3.0),
        ...     in_answer=(False, True),
        ... )
        >>> rollout = Rollout(completion="a7", token_statistics=statistics)
        >>> SequenceProbability()(Group(prompt_id="p", prompt="3+4=", rollouts=(rollout,)))
        [-0.5]
    """

    needs_token_statistics: ClassVar[bool] = True
    kind: Literal["trajectory_level_entropy", "probability"] = "trajectory_level_entropy"

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `token_statistics`.

        Returns:
            One reward per rollout: at most 0.0, in nats, for "trajectory_level_entropy"; in [0, 1]
            for "probability". None for a rollout without statistics or tokens, or with a
            log-probability that is not finite.
        """
        return [self._score(rollout.token_statistics) for rollout in group.rollouts]

    def _score(self, statistics: TokenStatistics | None) -> float | None:
        mean = None if statistics is None else mean_or_none(statistics.logps)
        if mean is None or statistics is None or self.kind == "trajectory_level_entropy":
            return mean
        # Rounding may put a log-probability slightly above 0.
        return math.exp(min(0.0, sum(statistics.logps)))
