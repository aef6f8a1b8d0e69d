"""Self-confidence: makes completions likelier, the more so the likelier they were (RLSC).

Source: Confidence Is All You Need (RLSC), arXiv 2506.06395v3, equations 5 to 7 and algorithm 1.
Differs: the paper sums over the completions of a question and steps after each question; its
    algorithm leaves open whether that is a sum or a mean. Here N counts completions.
Fails when: completions are long: their probability is then 0 in floating point, and what is left
    is alpha, which makes every completion likelier, right or wrong, as fine-tuning on them would.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rl.settings import Finite, NonNegative, checked
from rl.training.losses.term import Per, TermTokens


@checked
@dataclass(frozen=True, kw_only=True)
class SelfConfidence:
    """Add -coef / N sum_i (p_old(y_i | x) + alpha) log p(y_i | x).

    Without alpha its expected gradient is half that of -sum_y p(y | x)^2, where the sum is the
    chance that two samples are equal.

    Attributes:
        coef: Coefficient.
        alpha: Added to the probability, at least 0; the paper's 0.1.
        per: N counts "completion" or "token".
    """

    coef: Finite = 1.0
    alpha: NonNegative = 0.1
    per: Per = "completion"

    def weights(self, mask: Tensor, advantages: Tensor) -> Tensor:
        """Weigh all sampled tokens alike."""
        return mask.float()

    def per_token(self, tokens: TermTokens) -> Tensor:
        """Return -(p_old + alpha) log p at each token, p_old being that of the whole completion."""
        return self_confidence_loss(tokens.logps, tokens.old_logps, tokens.mask, self.alpha)


def self_confidence_loss(logps: Tensor, old_logps: Tensor, mask: Tensor, alpha: float) -> Tensor:
    """Weigh each token's log-probability by the probability its completion had.

    l_it = -(exp(sum_s m_is log p_old_is) + alpha) log p_it

    Args:
        logps: Of the sampled tokens, with gradient, in nats, (B, T).
        old_logps: Before the update; no gradient flows through them, (B, T).
        mask: 1 at sampled tokens, (B, T).
        alpha: See `SelfConfidence`.

    Returns:
        At least 0, (B, T).
    """
    # Rounding may put a log-probability slightly above 0.
    of_completions = (old_logps.detach() * mask).sum(dim=1, keepdim=True).clamp(max=0.0)
    return -(torch.exp(of_completions) + alpha) * logps
