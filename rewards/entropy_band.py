"""SPINE's token selection: train forking tokens only, and keep their entropy in a band.

Source: SPINE, arXiv 2511.17938, version 1 (November 2025) and version 2 (March 2026). The authors
    published no code. Version 2 as read by the independent implementation
    DLwbm123/CRL-Medical-MLLM (equations 2 to 21); version 1 as read by a public survey note.
Differs: the choice and the band's bounds come from the sampling policy and hold for all updates on
    a batch; with one update both readings agree. Log-probabilities, and the KL estimated from them,
    are of the distribution that tokens are sampled from, where that implementation drops the
    temperature; KL has the expected gradient of the paper's KL over the vocabulary unless
    `use_bias_correction_kl` is switched off. Groups whose rewards are all equal are left out unless
    `keep_silent_groups`. The paper does not say how advantages are scaled: ours divide by the
    sample deviation, as TTRL's code and EasyR1 do, on which the authors built; that implementation
    by the population's, which makes its advantages sqrt(8 / 7) = 1.07 times as large in groups of 8
    (`advantage: {pass_at_k: {k: 1}}` is that for rewards of 0 and 1). `scope` beyond the response
    and `preset="anchored"` are ours.
Fails when: the majority is wrong, which selection cannot see; and, in v1 and v2, when all entropies
    shrink together: their bands move with the response, so nothing holds the entropy up.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from rl.errors import InputError
from rl.settings import PositiveShare, Share, checked
from rl.training.token_selection import TokenSelection


def top_share_mask(entropies: Tensor, share: float) -> Tensor:
    """Select the ceil(share * T) tokens of highest entropy of one response.

    Source: SPINE v1, after "Beyond the 80/20 rule", arXiv 2506.01939. Of equal entropies the
    earlier token is taken, so that the share is exact.

    Args:
        entropies: Of one response, in nats, (T,).
        share: In (0, 1].

    Returns:
        Boolean mask, (T,); at least one token of a response that has any.
    """
    # A product such as 0.2 * 15 may come out a hair above its value.
    count = math.ceil(share * len(entropies) - 1e-9)
    mask = torch.zeros(len(entropies), dtype=torch.bool)
    mask[entropies.argsort(descending=True, stable=True)[:count]] = True
    return mask


def otsu_threshold(entropies: Tensor, num_bins: int = 100) -> float:
    """Split one response's entropies into two classes that are as far apart as possible.

    Over the histogram between the smallest and the largest entropy, the centre of the bin k that
    maximises w0 * w1 * (mean0 - mean1)**2, where class 0 is the bins up to k and class 1 the rest;
    w are shares of tokens and means are of bin centres. The first maximum wins.

    Source: Otsu 1979; SPINE v2 with 100 bins.

    Args:
        entropies: Of one response, at least one, (T,).
        num_bins: At least 2.

    Returns:
        The threshold, in nats; tokens at or above it are forking tokens. If all entropies are
        equal, that entropy, so that every token is one.
    """
    low, high = entropies.min().item(), entropies.max().item()
    if low == high:
        return high
    values = entropies.double()
    counts = torch.histc(values, num_bins, low, high)
    width = (high - low) / num_bins
    centres = low + width * (torch.arange(num_bins, dtype=torch.float64) + 0.5)
    num_below, sum_below = counts.cumsum(0)[:-1], (counts * centres).cumsum(0)[:-1]
    num_above, sum_above = counts.sum() - num_below, (counts * centres).sum() - sum_below
    distance = sum_below / num_below - sum_above / num_above
    return centres[(num_below * num_above * distance**2).argmax()].item()


def quantile_band(entropies: Tensor, low: float, high: float) -> tuple[float, float]:
    """Return two quantiles of the forking tokens' entropies (linear interpolation), SPINE v1."""
    return entropies.quantile(low).item(), entropies.quantile(high).item()


def median_band(entropies: Tensor, mad_scale: float = 1.4826) -> tuple[float, float]:
    """Return the band below the median of the forking tokens' entropies, SPINE v2.

    high = median(H), low = max(0, high - mad_scale * median(|H - high|))
    """
    high = entropies.quantile(0.5).item()
    deviation = (entropies - high).abs().quantile(0.5).item()
    return max(0.0, high - mad_scale * deviation), high


@checked
@dataclass(kw_only=True)
class EntropyBand:
    """Select forking tokens per response and bound their entropy.

    The loss of a step becomes, over its N sampled tokens with selected ones m = 1,

        1/N sum m * policy term + beta / sum(m) * sum m * KL
            + 1/N sum m * (low_weight * max(0, low - H) + high_weight * max(0, H - high))

    v1: the `top_share` highest entropies of a response; band between the quantiles `low_quantile`
    and `high_quantile` of their entropies.
    v2: entropies from Otsu's threshold of the response on; band from the median minus 1.4826
    median absolute deviations to the median.
    anchored: as v2, but never a token below `min_entropy` nor more than `top_share` of a response,
    and one band for the whole run: the quantiles of the forking tokens of its first batch, which
    the initial policy sampled.

    A response without a selected token has a band of 0 to 0, which nothing falls into.

    Attributes:
        preset: "v1", "v2" or "anchored".
        scope: Among which tokens forking ones are looked for: those of a "response", of its "group"
            or of the whole "batch" of rollouts. Every response has its own band all the same.
        raw_entropies: Whether entropies are those of the policy itself, at temperature 1, for the
            choice and for the band; False: of the distribution that tokens are sampled from. Equal
            at temperature 1; elsewhere the output head runs once more.
        low_weight: The paper's beta_L; its value is not published, 0.01 is ours.
        high_weight: The paper's beta_U; likewise.
        top_share: Share of a response's tokens, in (0, 1]; v1 and anchored.
        low_quantile: In [0, 1]; v1 and anchored.
        high_quantile: At least low_quantile, at most 1; None: 0.5 (v1), 0.9 (anchored).
        min_entropy: In nats; anchored.
        keep_silent_groups: Whether band and KL also act on groups whose rewards are all equal; of
            any other group every scorable rollout takes part, also one whose advantage is zero.
    """

    preset: Literal["v1", "v2", "anchored"] = "v2"
    scope: Literal["response", "group", "batch"] = "response"
    raw_entropies: bool = True
    low_weight: NonNegativeFloat = 0.01
    high_weight: NonNegativeFloat = 0.01
    top_share: PositiveShare = 0.2
    low_quantile: Share = 0.1
    high_quantile: Share | None = None
    min_entropy: NonNegativeFloat = 0.05
    keep_silent_groups: bool = False
    _anchor: tuple[float, float] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.high_quantile is None:
            self.high_quantile = 0.9 if self.preset == "anchored" else 0.5
        if self.low_quantile > self.high_quantile:
            raise InputError(
                f"entropy_band.high_quantile: got {self.high_quantile}, expected low_quantile "
                f"({self.low_quantile}) to 1. Change one."
            )

    def __call__(self, entropies: Tensor, mask: Tensor, groups: Tensor) -> TokenSelection:
        """Select tokens of every response (see `TokenSelector`)."""
        selected = torch.zeros(entropies.shape, dtype=torch.bool)
        for rows in self._scopes(groups):
            sampled = mask[rows].bool()
            if sampled.any():
                forking = torch.zeros_like(sampled)
                forking[sampled] = self._select(entropies[rows][sampled])
                selected[rows] = forking
        bands = torch.zeros(len(entropies), 2)
        for row, forking in enumerate(selected):
            if forking.any():
                bands[row] = torch.tensor(self._band(entropies[row, forking]))
        if self.preset == "anchored" and selected.any():
            if self._anchor is None:
                self._anchor = self._quantile_band(entropies[selected])
            bands[selected.any(dim=1)] = torch.tensor(self._anchor)
        weights = selected.to(entropies.dtype)
        return TokenSelection(weights=weights, low=bands[:, 0], high=bands[:, 1])

    def _scopes(self, groups: Tensor) -> list[Tensor]:
        """Return the numbers of the rows whose tokens compete with each other."""
        rows = torch.arange(len(groups))
        if self.scope == "group":
            return [rows[groups == number] for number in groups.unique()]
        return list(rows.split(1)) if self.scope == "response" else [rows]

    def _select(self, entropies: Tensor) -> Tensor:
        if self.preset == "v1":
            return top_share_mask(entropies, self.top_share)
        forking = entropies >= otsu_threshold(entropies)
        if self.preset == "anchored":
            forking &= entropies >= self.min_entropy
            forking &= top_share_mask(entropies, self.top_share)
        return forking

    def _band(self, entropies: Tensor) -> tuple[float, float]:
        if self.preset == "v1":
            return self._quantile_band(entropies)
        return median_band(entropies)

    def _quantile_band(self, entropies: Tensor) -> tuple[float, float]:
        assert self.high_quantile is not None
        return quantile_band(entropies, self.low_quantile, self.high_quantile)

    def state_dict(self) -> dict[str, Any]:
        """Return the anchored band, null before the first batch."""
        return {"anchor": self._anchor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved band."""
        self._anchor = tuple(state["anchor"]) if state["anchor"] else None


@checked
@dataclass(kw_only=True)
class RandomShare:
    """Select a random share of each response's tokens: the control of every token selector.

    Source: arXiv 2605.07660, in which a random fifth of the tokens recovers nearly all of the gain.

    Attributes:
        share: In (0, 1]; ceil(share * T) tokens of a response of T.
        seed: Fixes the draws, together with the number of batches seen.
    """

    share: PositiveShare = 0.2
    seed: int = 0
    low_weight: float = field(default=0.0, init=False)
    high_weight: float = field(default=0.0, init=False)
    keep_silent_groups: bool = field(default=False, init=False)
    _num_batches: int = field(default=0, init=False, repr=False)

    def __call__(self, entropies: Tensor, mask: Tensor, groups: Tensor) -> TokenSelection:
        """Select tokens of every response (see `TokenSelector`)."""
        generator = torch.Generator().manual_seed(hash((self.seed, self._num_batches)) % 2**63)
        self._num_batches += 1
        draw = EntropyBand(preset="v1", top_share=self.share)
        selection = draw(torch.rand(entropies.shape, generator=generator), mask, groups)
        zeros = torch.zeros(len(entropies))
        return replace(selection, low=zeros, high=zeros)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches seen."""
        return {"num_batches": self._num_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after that many batches."""
        self._num_batches = state["num_batches"]
