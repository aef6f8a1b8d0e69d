"""Training on some tokens only: what a selector returns, and the loss terms at selected tokens.

A selector sees the entropies of all rows of a generation batch, from all ranks and under the policy
that sampled them, before the first update on them. What it returns stays fixed for the batch.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TokenSelection:
    """Which tokens of B completions, T positions each, are trained, and their entropy bands.

    Attributes:
        weights: Factor on each token's policy term, its KL term and its band term; 0.0 leaves the
            token out, (B, T).
        low: Entropy below which a completion's selected tokens are pushed up, in nats, (B,).
        high: Entropy above which they are pushed down, in nats, (B,).
        clip: How far from 1 the ratios of each completion's tokens may be, (B,); None: `epsilon`
            and `epsilon_high` of the run.
    """

    weights: Tensor
    low: Tensor
    high: Tensor
    clip: Tensor | None = None


class TokenSelector(Protocol):
    """Chooses the tokens to train, from their entropies.

    With `needs_logps = True` it is called with a fourth argument, the log-probabilities of the
    sampled tokens under the sampling policy, (B, T). It may also have `state_dict()` and
    `load_state_dict(state)`, plain JSON saved in checkpoints, and `raw_entropies = True`: the
    entropies, those of the band too, are then of the policy's logits as they are, not divided by
    the sampling temperature.

    Attributes:
        low_weight: Coefficient of the band's lower side in the loss; 0.0 switches it off.
        high_weight: Coefficient of its upper side.
        keep_silent_groups: Whether band and KL terms also act on groups all of whose advantages
            are zero.
    """

    low_weight: float
    high_weight: float
    keep_silent_groups: bool

    def __call__(self, entropies: Tensor, mask: Tensor, groups: Tensor) -> TokenSelection:
        """Select tokens.

        Args:
            entropies: In nats, float32 on the CPU, (B, T).
            mask: True at sampled tokens, False at padding, (B, T). A row without any True belongs
                to an unscorable rollout.
            groups: Number of the group each row belongs to, (B,).
        """
        ...


def scaled_in_completions(values: Tensor, mask: Tensor, quantile: float = 0.98) -> Tensor:
    """Scale the values of each completion to 0..1, from its least to a high quantile.

    s_t = min(1, (v_t - min v) / (q - min v)),  q: that quantile of the completion's values

    Source: TTPO, arXiv 2608.27448; ZJU-REAL/TTPO at 36326ed, TTPO/ttpo_trainer.py,
    `_normalize_token_scores`, which its scripts call with one completion at a time.

    Args:
        values: (B, T).
        mask: True at sampled tokens, (B, T).
        quantile: In (0, 1].

    Returns:
        (B, T), 0.0 where there is no token, and throughout a completion whose values are equal up
        to 1e-8, or has none.
    """
    scaled = torch.zeros_like(values)
    for row, is_token, target in zip(values, mask.bool(), scaled, strict=True):
        if not is_token.any():
            continue
        known = row[is_token].float()
        low, high = known.min(), torch.quantile(known, quantile)
        if high - low >= 1e-8:
            target[is_token] = ((known - low) / (high - low)).clamp(max=1.0).to(values.dtype)
    return scaled


def band_violations(entropies: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Say by how much each entropy lies below and above its completion's band.

    below = max(0, low - H), above = max(0, H - high)

    Source: SPINE, arXiv 2511.17938, the entropy-band regularizer. The bounds carry no gradient.

    Args:
        entropies: In nats, (B, T).
        low: (B,).
        high: (B,).

    Returns:
        below and above, at least 0, both (B, T), differentiable in the entropies.
    """
    # relu, not clamp: a token on a bound, such as the median itself in v2, is not pushed.
    below = torch.relu(low.detach()[:, None] - entropies)
    above = torch.relu(entropies - high.detach()[:, None])
    return below, above


def kl_to_reference(per_token_logps: Tensor, ref_per_token_logps: Tensor) -> Tensor:
    """Estimate KL(policy || reference) at each token from the sampled token alone (k3).

    exp(d) - d - 1 with d = ref_per_token_logps - per_token_logps, at least 0

    Source: J. Schulman, "Approximating KL divergence", 2020; TRL's estimator.
    """
    difference = ref_per_token_logps - per_token_logps
    return torch.exp(difference) - difference - 1
