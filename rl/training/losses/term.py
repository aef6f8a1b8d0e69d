"""What a further term of the loss is: its weights, its count, its loss at each token."""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

# Begins the names of the weights of terms among a batch's values, (B, T).
TERM_WEIGHTS = "term_weights."

Per = Literal["token", "completion", "rollout"]


@dataclass(frozen=True, kw_only=True)
class TermTokens:
    """What a term knows of the tokens of B completions, T positions each, in one micro-batch.

    Attributes:
        logps: Log-probability of each sampled token under the policy as it is now, its logits
            divided by the sampling temperature, with gradient, (B, T).
        entropies: Entropy of the distribution each token was drawn from, likewise, in nats, (B, T).
        old_logps: Log-probabilities under the policy before its first update on these rows, without
            gradient, (B, T).
        mask: 1 at sampled tokens of rollouts that can be scored, 0 elsewhere, (B, T).
        compared: What the term's `compare` returned of whole distributions of policy, with
            gradient, and teacher at the tokens of the mask, 0 elsewhere, (B, T) each; empty for a
            term without a teacher (`rl.training.self_teacher`).
    """

    logps: Tensor
    entropies: Tensor
    old_logps: Tensor
    mask: Tensor
    compared: tuple[Tensor, ...] = ()


class LossTerm(Protocol):
    """Adds to the loss of an optimizer step, whatever its micro-batches and ranks.

    coef / N sum_{i,t} w_it l_it,  N: what is counted in the whole step, on all ranks

    A row with a weight above 0 is run, though its advantage may be 0. Rollouts that no reward
    scored have no part in it.

    Attributes:
        coef: Coefficient; 0.0 leaves the term out.
        per: N counts "token", the sum of the weights, "completion", the rows with a weight, or
            "rollout", all rows that can be scored.
    """

    coef: float
    per: Per

    def weights(self, mask: Tensor, advantages: Tensor) -> Tensor:
        """Weigh the tokens of a generation batch, once, before the first update on it.

        Args:
            mask: As in `TermTokens`, of this rank's rows, (B, T).
            advantages: Of the same rows, (B,).

        Returns:
            At least 0; what is not in the mask has no weight, whatever is returned there, (B, T).
        """
        ...

    def per_token(self, tokens: TermTokens) -> Tensor:
        """Return the loss at each token, before weights and coefficient, with gradient, (B, T)."""
        ...
