"""Token selection: unsure tokens teach more, and completions that end unsurely may move further.

Source: entropy-confidence hybrid advantage shaping and confidence-adaptive clipping of ECHO, arXiv
    2602.02150; user683/ECHO at 6f7b311, verl/verl/trainer/ppo/core_algos.py,
    `apply_hybrid_advantage_shaping` (whose configuration calls the factor equation 5), and
    verl/verl/workers/actor/dp_actor.py, `update_policy`; values of ppo_trainer.yaml, `hybrid_adv`.
    Its branches and pruning are `rl.rollouts.branching.entropy_confidence`.
Differs: the confidence of a token is its probability, as where the authors' scripts run; the mean
    probability of the 5 likeliest tokens, the paper's, is taken by their code only without
    `use_remove_padding`, which all scripts set. The code's further term (equation 6), lambda (S -
    mean S of the group), is left out: its configuration sets lambda to 0, and no other value is
    published. Its weights alpha and beta of the two scores are 1 in the configuration, and here.
    The KL term is weighted as the advantage is; theirs is not.
Fails when: what the policy is unsure of is noise, or a rare slip: such tokens are then taught most.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rl.errors import InputError
from rl.settings import Count, NonNegative, checked
from rl.training.token_selection import TokenSelection


@checked
@dataclass(kw_only=True)
class EntropyConfidence:
    """Weigh every token by how unsure the policy was, and clip each completion by how sure it was.

    weight_t = 1 + strength * S_t,  S: `unsureness`
    the ratios of a completion are clipped to 1 - c .. 1 + c,  c: `clip_by_confidence`

    Both are made once, under the policy that sampled, and hold for all updates on a batch. Ratios
    other than 1 come with the second update on it: with one update the clip does nothing.

    Attributes:
        strength: The paper's a; 0.0 leaves the clip alone.
        limit: Largest S, and least, negated; at most 1 / strength, so that no advantage turns
            round.
        clip_low: Least c; with both at one value it is that everywhere.
        clip_high: Largest c. The run's `epsilon` and `epsilon_high` are not used.
        clip_slope: The code's kappa.
        clip_window: Last tokens of a completion whose confidence is its.
    """

    strength: NonNegative = 0.1
    limit: NonNegative = 2.0
    clip_low: NonNegative = 0.05
    clip_high: NonNegative = 0.2
    clip_slope: NonNegative = 4.0
    clip_window: Count = 16
    needs_logps: bool = field(default=True, init=False)
    low_weight: float = field(default=0.0, init=False)
    high_weight: float = field(default=0.0, init=False)
    keep_silent_groups: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if self.strength * self.limit > 1:
            raise InputError(
                f"token_selector.entropy_confidence.limit: got {self.limit:g} beside strength "
                f"{self.strength:g}, expected at most 1 / strength, or advantages turn round. "
                "Lower one of the two."
            )
        if self.clip_low > self.clip_high:
            raise InputError(
                f"token_selector.entropy_confidence.clip_low: got {self.clip_low:g}, expected at "
                f"most clip_high ({self.clip_high:g}). Lower it."
            )

    def __call__(
        self, entropies: Tensor, mask: Tensor, groups: Tensor, logps: Tensor
    ) -> TokenSelection:
        """Weigh the tokens of every response (see `TokenSelector`)."""
        confidences = logps.exp().clamp(max=1.0)
        score = unsureness(entropies, confidences, mask, self.limit)
        clip = clip_by_confidence(
            confidences, mask, self.clip_low, self.clip_high, self.clip_slope, self.clip_window
        )
        zeros = torch.zeros(len(entropies))
        weights = (1 + self.strength * score).clamp(min=0)  # rounding may put one below 0
        return TokenSelection(weights=weights, low=zeros, high=zeros, clip=clip)


def standardised(values: Tensor, mask: Tensor) -> Tensor:
    """Subtract the mean of all tokens of a batch and divide by their sample deviation.

    z = (v - mean v) / sqrt(var v + 1e-8), var with n - 1 (verl's `masked_whiten`)

    Args:
        values: (B, T).
        mask: True at sampled tokens, (B, T).

    Returns:
        (B, T), 0.0 where there is no token, and throughout where there is one alone.
    """
    known = values[mask].double()
    if known.numel() < 2:
        return torch.zeros_like(values)
    scaled = torch.zeros_like(values)
    scaled[mask] = ((known - known.mean()) / (known.var() + 1e-8).sqrt()).to(values.dtype)
    return scaled


def unsureness(entropies: Tensor, confidences: Tensor, mask: Tensor, limit: float) -> Tensor:
    """Say how unsure the policy was of each token, beside all others of the batch.

    S_t = z(H_t) + z(1 - C_t), cut to -limit..limit,  z: `standardised`

    Args:
        entropies: H, in nats, (B, T).
        confidences: C, in [0, 1], (B, T).
        mask: True at sampled tokens, (B, T).
        limit: At least 0.

    Returns:
        (B, T), 0.0 where there is no token.
    """
    score = standardised(entropies, mask) + standardised(1 - confidences, mask)
    return score.clamp(-limit, limit)


def clip_by_confidence(
    confidences: Tensor, mask: Tensor, low: float, high: float, slope: float, window: int
) -> Tensor:
    """Let completions that end less surely move further.

    c = low + (high - low) sigmoid(slope (1 - mean of the last `window` confidences))

    So c is at least half-way between the two, which it is for a mean of 1.

    Args:
        confidences: In [0, 1], (B, T).
        mask: True at sampled tokens, (B, T).
        low: At least 0.
        high: At least `low`.
        slope: At least 0.
        window: At least 1; a shorter completion counts whole.

    Returns:
        (B,); of a completion without tokens that of a mean of 0.
    """
    num_left = mask.flip(1).cumsum(dim=1).flip(1)  # 1 at the last token
    tail = mask & (num_left <= window)
    mean = (confidences * tail).sum(dim=1) / tail.sum(dim=1).clamp(min=1)
    return low + (high - low) * torch.sigmoid(slope * (1 - mean))
