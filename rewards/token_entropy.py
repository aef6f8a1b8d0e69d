"""Token entropy as a reward: pays for completions whose every token was a clear choice.

Source: RENT, arXiv 2505.22660, section 3 (reward: minus the mean entropy of the completion's token
    distributions). Reference code: satrams/rent-rl.
Differs: none for `span="all"`. `span="answer"` averages over the tokens of the extracted answer
    alone; the paper finds this span less telling than the last part of the completion.
Fails when: repetition and boilerplate have low entropy too, so long runs collapse into them
    (arXiv 2603.08660, 2506.17219); a wrong answer can be as certain as a right one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rl.settings import checked
from rl.types import Group, TokenStatistics


@checked
@dataclass(frozen=True, kw_only=True)
class TokenEntropy:
    """Pay minus the mean entropy of the distributions the tokens were drawn from.

    r_i = -(1/|S_i|) sum_{t in S_i} H_t,  S_i: all tokens of rollout i, or those of its answer

    Attributes:
        span: "all" tokens, or those of the "answer".

    Example:
        >>> from rl.types import Rollout
        >>> statistics = TokenStatistics(
        ...     logps=(-0.5, -0.1),
        ...     entropies=(1.0, 0.5),
        ...     self_certainties=(2.0, 3.0),
        ...     in_answer=(False, True),
        ... )
        >>> rollout = Rollout(completion="a7", answer="7", token_statistics=statistics)
        >>> group = Group(prompt_id="p", prompt="3+4=", rollouts=(rollout,))
        >>> TokenEntropy()(group), TokenEntropy(span="answer")(group)
        ([-0.75], [-0.5])
    """

    needs_token_statistics: ClassVar[bool] = True
    span: Literal["all", "answer"] = "all"

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `token_statistics`.

        Returns:
            One reward per rollout, in nats, at most 0.0. None for a rollout without statistics,
            without tokens in the span, or whose mean is not finite.
        """
        return [self._score(rollout.token_statistics) for rollout in group.rollouts]

    def _score(self, statistics: TokenStatistics | None) -> float | None:
        if statistics is None:
            return None
        spans = zip(statistics.entropies, statistics.in_answer, strict=True)
        mean = mean_or_none([h for h, in_answer in spans if self.span == "all" or in_answer])
        return None if mean is None else -mean


def mean_or_none(values: Sequence[float]) -> float | None:
    """Return the mean of per-token values; None if there are none or it is not finite.

    Example:
        >>> mean_or_none([1.0, 2.0]), mean_or_none([]), mean_or_none([1.0, float("inf")])
        (1.5, None, None)
    """
    mean = sum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None
