"""Entropy minimisation: pushes the entropy of every token's distribution down.

Source: EM-FT in The Unreasonable Effectiveness of Entropy Minimization in LLM Reasoning, arXiv
    2505.15134, section 3.1, equation 2; its gradient is in table 1.
Differs: none for `per="completion"`. `per="token"` is ours: long completions then count no more
    than short ones. The entropies are those of the sampling distribution, temperature included.
Fails when: the model is not capable in the task already (section 5 of the paper), and in long
    runs: nothing but the number of steps stops the policy from repeating itself with certainty.
"""

from dataclasses import dataclass

from torch import Tensor

from rl.settings import Finite, checked
from rl.training.losses.term import Per, TermTokens


@checked
@dataclass(frozen=True, kw_only=True)
class EntropyMinimisation:
    """Add coef / N sum_{i,t} H_it, over all sampled tokens.

    H is the entropy of the token's distribution, differentiated itself; as a reward it would be
    `rewards.token_entropy`, whose gradient is estimated from the sampled tokens.

    Attributes:
        coef: Coefficient; below 0 it is an entropy bonus.
        per: N counts "completion" (the paper's) or "token".
    """

    coef: Finite = 1.0
    per: Per = "completion"

    def weights(self, mask: Tensor, advantages: Tensor) -> Tensor:
        """Weigh all sampled tokens alike."""
        return mask.float()

    def per_token(self, tokens: TermTokens) -> Tensor:
        """Return the entropies."""
        return tokens.entropies
