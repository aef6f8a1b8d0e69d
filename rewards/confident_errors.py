"""Token selection: train the tokens at which a completion went against a policy that was sure.

Source: the token mask of TTPO's negative branch, arXiv 2608.27448; ZJU-REAL/TTPO at 36326ed,
    TTPO/ttpo_trainer.py, `_compute_hybrid_fkl_grpo_loss`: score, scaling and median; its scripts
    run one completion at a time, so all three are of single completions.
Differs: the choice is made once, under the policy that sampled, and holds for all updates on a
    batch; with one update it is theirs. It is made in completions that agree, too, where TTPO's
    advantages are 0 (`advantage: disagreement`).
Fails when: an improbable token was the right one: a rare but right step is then unlearned first.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rl.settings import Share, StepsOrNone, checked
from rl.training.token_selection import TokenSelection, scaled_in_completions


@checked
@dataclass(kw_only=True)
class ConfidentErrors:
    """Select the tokens of each completion that were improbable where the policy was certain.

    score_t = -log p_t * (1 - s_t),  s: entropies scaled within the completion
    selected: score_t >= the `quantile` of the completion's scores

    Attributes:
        quantile: Of the scores; 0.0 selects every token.
        max_tokens: Only the first so many tokens of a completion are trained; 0: all. TTPO's 1024.
    """

    quantile: Share = 0.5
    max_tokens: StepsOrNone = 0
    needs_logps: bool = field(default=True, init=False)
    low_weight: float = field(default=0.0, init=False)
    high_weight: float = field(default=0.0, init=False)
    keep_silent_groups: bool = field(default=False, init=False)

    def __call__(
        self, entropies: Tensor, mask: Tensor, groups: Tensor, logps: Tensor
    ) -> TokenSelection:
        """Select tokens of every response (see `TokenSelector`)."""
        if self.max_tokens:
            mask = mask & (torch.arange(mask.shape[1]) < self.max_tokens)
        selected = confident_errors(entropies, logps, mask, self.quantile)
        zeros = torch.zeros(len(entropies))
        return TokenSelection(weights=selected.float(), low=zeros, high=zeros)


def confident_errors(entropies: Tensor, logps: Tensor, mask: Tensor, quantile: float) -> Tensor:
    """Say which tokens `ConfidentErrors` selects.

    Args:
        entropies: In nats, (B, T).
        logps: Of the sampled tokens, in nats, (B, T).
        mask: True at sampled tokens, (B, T).
        quantile: In [0, 1].

    Returns:
        (B, T), bool; of equal scores at the quantile all, of a completion without tokens none.
    """
    scores = (-logps * (1 - scaled_in_completions(entropies, mask))).float()
    selected = torch.zeros_like(mask, dtype=torch.bool)
    for row, is_token, target in zip(scores, mask.bool(), selected, strict=True):
        if is_token.any():
            target[is_token] = row[is_token] >= torch.quantile(row[is_token], quantile)
    return selected
