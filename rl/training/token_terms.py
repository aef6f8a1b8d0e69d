"""A token selector at work: selection per batch of rollouts, loss terms per micro-batch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel

from rl.errors import InputError
from rl.plugins import call_plugin
from rl.training.config import LabelFreeConfig
from rl.training.plugin_tensors import expect_tensor, expect_weights
from rl.training.source import Batch
from rl.training.step_means import WeightedSum
from rl.training.token_selection import (
    TokenSelection,
    TokenSelector,
    band_violations,
    kl_to_reference,
)


class SelectedTokenTerms:
    """Adds a selector's KL and band terms to the policy loss of the tokens it selected.

    loss = policy_loss + beta / M sum_t w_t KL_t
           + 1/N sum_t w_t (low_weight below_t + high_weight above_t)

    N counts the sampled tokens and M the selected ones of the whole optimizer step, on all ranks,
    so neither micro-batches nor ranks change the loss. KL_t is estimated from the sampled token;
    with `corrects_kl` it is multiplied by the ratio of new to old probability, whose expected
    gradient is that of the KL divergence over the whole vocabulary.

    Args:
        selector: Chooses the tokens.
        beta: Coefficient of the KL term; 0.0 leaves it out.
        corrects_kl: TRL's `use_bias_correction_kl`.
        model: The policy; its last hidden states are watched to compare the terms' gradients.
    """

    def __init__(
        self, selector: TokenSelector, beta: float, corrects_kl: bool, model: PreTrainedModel
    ) -> None:
        self.selector = selector
        self.beta = beta
        self.corrects_kl = corrects_kl
        self._hidden: Tensor | None = None
        backbone: nn.Module = model.base_model
        backbone.register_forward_hook(self._keep_hidden)

    def _keep_hidden(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._hidden = output.last_hidden_state if torch.is_grad_enabled() else None

    def select(
        self,
        entropies: Tensor,
        mask: Tensor,
        groups: Tensor,
        advantages: Tensor,
        logps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Select among all rows of a generation batch.

        Args:
            entropies: Under the sampling policy, on the CPU, (B, T).
            mask: True at sampled tokens of scorable rollouts, (B, T).
            groups: Number of each row's group, from 0, (B,).
            advantages: (B,).
            logps: Of the sampled tokens, likewise; for a selector that needs them, (B, T).

        Returns:
            What the loss needs: `token_weights` (B, T), `band_low` and `band_high` (B,), `clip`
            (B,) of a selector that gives one, and `num_selected_in_batch`, the sum of the weights.
        """
        known = [logps] if self.needs_logps and logps is not None else []
        selection = select_tokens(self.selector, entropies, mask, groups, *known)
        weights = selection.weights
        acts = self.beta or self.selector.low_weight or self.selector.high_weight
        if not (self.selector.keep_silent_groups and acts):
            # A row of advantage 0 beside others that have one is a part of the step's KL and band.
            num_heard = torch.zeros(len(groups)).index_add(0, groups, (advantages != 0).float())
            weights = weights * (num_heard[groups] > 0)[:, None]
        clip = {} if selection.clip is None else {"clip": selection.clip}
        return {
            "token_weights": weights,
            "band_low": selection.low,
            "band_high": selection.high,
            "num_selected_in_batch": weights.sum(),
            **clip,
        }

    @property
    def needs_logps(self) -> bool:
        """Whether the selector looks at log-probabilities too."""
        return getattr(self.selector, "needs_logps", False)

    def select_rows(
        self,
        entropies: Tensor,
        logps: Tensor,
        rows: Mapping[str, Tensor],
        batch: Batch,
        accelerator: Accelerator,
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Select tokens of this rank's rows among those of all ranks; every rank must call it.

        So no rank layout changes the choice.

        Args:
            entropies: Of this rank's rows under the sampling policy, (B, T).
            logps: Of their sampled tokens, likewise, (B, T).
            rows: The same rows, laid out.
            batch: What they are made of.
            accelerator: Knows the other ranks.

        Returns:
            What `select` returns, of this rank's rows, and `advantages` times the weights, (B, T);
            signal/selected_frac, selected / sampled tokens.
        """
        mask = rows["completion_mask"]
        parts = [
            accelerator.pad_across_processes(part, dim=1)
            for part in (entropies.float() * mask, mask, *([logps.float()] * self.needs_logps))
        ]
        entropies, all_masks, *known = (
            torch.as_tensor(accelerator.gather(part)).cpu() for part in parts
        )
        selection = self.select(entropies, all_masks.bool(), batch.groups, batch.advantages, *known)
        frac = selection["num_selected_in_batch"].item() / max(1, all_masks.sum().item())
        num_rows, width = mask.shape
        first_row = accelerator.process_index * num_rows
        for name, value in selection.items():
            if value.dim():
                value = value[first_row : first_row + num_rows]
            if name == "token_weights":
                value = value[:, :width]
            selection[name] = value.to(mask.device)
        selection["advantages"] = rows["advantages"][:, None] * selection["token_weights"]
        return selection, {"signal/selected_frac": frac}

    def add_to(
        self,
        policy_loss: Tensor,
        per_token_logps: Tensor,
        entropies: Tensor,
        inputs: dict[str, Tensor],
        share_of_step: float,
        compares_gradients: bool = False,
    ) -> tuple[Tensor, dict[str, WeightedSum]]:
        """Add the terms to the policy loss of one micro-batch.

        Args:
            policy_loss: Loss of this micro-batch; its advantages carry the weights already.
            per_token_logps: Under the policy as it is now, with gradient, (B, T).
            entropies: Likewise.
            inputs: The micro-batch, with what `select` returned.
            share_of_step: Factor on the batch-wide counts that makes them those of one optimizer
                step, divided by the number of ranks, whose gradients are averaged.
            compares_gradients: Whether to measure the terms' gradients against the policy's, at the
                cost of a backward pass through the output head for each.

        Returns:
            The whole loss, and metrics of this micro-batch, as sums with their weights.
        """
        # What only fills up a micro-batch has no mask.
        weights = inputs["token_weights"] * inputs["completion_mask"]
        low, high = inputs["band_low"], inputs["band_high"]
        num_tokens = inputs["num_items_in_batch"].clamp(min=1.0) * share_of_step
        num_selected = inputs["num_selected_in_batch"].clamp(min=1.0) * share_of_step
        below, above = band_violations(entropies, low, high)
        per_token_band = self.selector.low_weight * below + self.selector.high_weight * above
        terms = {"band": (weights * per_token_band).sum() / num_tokens}
        here, of_rows = weights.sum(), weights.amax(dim=1)
        rows = (of_rows > 0).sum()
        metrics = {
            "signal/band_low": ((of_rows * low).sum(), rows),
            "signal/band_high": ((of_rows * high).sum(), rows),
            "signal/band_below": ((weights * below).sum(), here),
            "signal/band_above": ((weights * above).sum(), here),
            "signal/band_below_frac": ((weights * (below > 0)).sum(), here),
            "signal/band_above_frac": ((weights * (above > 0)).sum(), here),
        }
        if self.beta:
            kl = kl_to_reference(per_token_logps, inputs["ref_per_token_logps"])
            if self.corrects_kl:
                old_logps = inputs.get("old_per_token_logps", per_token_logps.detach())
                kl = kl * torch.exp(per_token_logps - old_logps)
            terms["kl"] = self.beta * (weights * kl).sum() / num_selected
            metrics["kl"] = ((weights * kl).sum(), here)
        hidden, self._hidden = self._hidden, None
        if compares_gradients:
            metrics |= _gradient_ratios(hidden, policy_loss, terms)
        return policy_loss + sum(terms.values()), metrics


def select_tokens(
    selector: TokenSelector, entropies: Tensor, mask: Tensor, groups: Tensor, *logps: Tensor
) -> TokenSelection:
    """Ask a selector; its arguments are those of `TokenSelector.__call__`.

    Returns:
        What it selects; weights are 0 where there is no token.

    Raises:
        InputError: If it raises, or returns anything but tensors of the shapes that
            `TokenSelection` has, weights and clips of at least 0.
    """
    what = f"token_selector {type(selector).__name__}"
    for name in ("low_weight", "high_weight", "keep_silent_groups"):
        if not hasattr(selector, name):
            raise InputError(
                f"{what}: got no {name}, expected one. Set low_weight = high_weight = 0.0 and "
                "keep_silent_groups = False in the class where there is no entropy band."
            )
    found: Any = call_plugin(what, selector, entropies, mask, groups, *logps)
    if not isinstance(found, TokenSelection):
        raise InputError(
            f"{what}: got a {type(found).__name__}, expected a "
            "rl.training.token_selection.TokenSelection. Mend what it returns."
        )
    weights = expect_weights(f"{what}, weights", found.weights, mask)
    for name in ("low", "high", "clip"):
        if name != "clip" or found.clip is not None:
            expect_tensor(f"{what}, {name}", getattr(found, name), groups.shape)
    if found.clip is not None and not (found.clip >= 0).all():
        raise InputError(
            f"{what}, clip: got {found.clip.min().item():g}, expected 0 or more. Mend it."
        )
    return replace(found, weights=weights)


def clip_range(
    inputs: Mapping[str, Tensor], config: LabelFreeConfig
) -> tuple[Tensor, Tensor] | tuple[float, float]:
    """Say how far below and above 1 the ratios of a micro-batch may be.

    Returns:
        Both the selector's `clip`, (B, 1), where it gives one; else the run's `epsilon`, and
        `epsilon_high` or the same.
    """
    if "clip" in inputs:
        clip = inputs["clip"][:, None]
        return clip, clip
    high = config.epsilon if config.epsilon_high is None else config.epsilon_high
    return config.epsilon, high


def _gradient_ratios(
    hidden: Tensor | None, policy_loss: Tensor, terms: dict[str, Tensor]
) -> dict[str, WeightedSum]:
    """Compare the terms' gradients with the policy's, all at the last hidden states.

    Taken there the comparison costs a pass through the output head instead of the whole model.
    Every micro-batch counts alike, but one in which the policy has no gradient does not.
    """
    nothing = torch.zeros((), device=policy_loss.device)
    ratios: dict[str, WeightedSum] = dict.fromkeys(terms, (nothing, nothing))
    if hidden is not None and hidden.requires_grad:
        policy = _gradient_norm(policy_loss, hidden)
        if policy > 0:
            for name, term in terms.items():
                ratios[name] = _gradient_norm(term, hidden) / policy, torch.ones_like(nothing)
    return {f"signal/{name}_gradient_ratio": ratio for name, ratio in ratios.items()}


def _gradient_norm(term: Tensor, hidden: Tensor) -> Tensor:
    [gradient] = torch.autograd.grad(term, hidden, retain_graph=True, allow_unused=True)
    return hidden.new_zeros(()) if gradient is None else gradient.float().norm()
