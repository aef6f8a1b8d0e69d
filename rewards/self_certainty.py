"""Self-certainty as a reward: pays for distributions far from a uniform guess over the vocabulary.

Source: Intuitor, arXiv 2505.19590, section 3.2, equation 1. Reference code: sunblaze-ucb/Intuitor,
    verl-intuitor/verl/utils/torch_functional.py, which leaves out the constant log |V|; it cancels
    in the advantages.
Differs: `clip` is ours: it bounds what one token can earn.
Fails when: the policy repeats itself, which is very certain: in long runs the reward rises while
    accuracy falls (arXiv 2603.08660). Watch length and repetition; `clip` takes away the gain of
    tokens that are certain beyond it.
"""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveFloat

from rewards.token_entropy import mean_or_none
from rl.settings import checked
from rl.types import Group, TokenStatistics


@checked
@dataclass(frozen=True, kw_only=True)
class SelfCertainty:
    """Pay the mean divergence of the token distributions from the uniform one.

    r_i = (1/T_i) sum_t min(c_it, clip),  c_it = KL(uniform || policy) at token t of rollout i

    Attributes:
        clip: Most that one token counts, in nats, above 0; None: no limit.

    Example:
        >>> from rl.types import Rollout
        >>> statistics = TokenStatistics(
        ...     logps=(-0.5, -0.1),
        ...     entropies=(1.0, 0.5),
        ...     self_certainties=(2.0, 30.0),
        ...     in_answer=(False, True),
        ... )
        >>> rollout = Rollout(completion="a7", token_statistics=statistics)
        >>> group = Group(prompt_id="p", prompt="3+4=", rollouts=(rollout,))
        >>> SelfCertainty()(group), SelfCertainty(clip=20.0)(group)
        ([16.0], [11.0])
    """

    needs_token_statistics: ClassVar[bool] = True
    clip: PositiveFloat | None = None

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `token_statistics`.

        Returns:
            One reward per rollout, in nats, at least 0.0. None for a rollout without statistics or
            tokens, or whose mean is not finite.
        """
        return [self._score(rollout.token_statistics) for rollout in group.rollouts]

    def _score(self, statistics: TokenStatistics | None) -> float | None:
        if statistics is None:
            return None
        values = statistics.self_certainties
        return mean_or_none(values if self.clip is None else [min(c, self.clip) for c in values])
