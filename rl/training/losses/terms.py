"""Terms of the loss by name, and at work: weights per batch of rollouts, sums per micro-batch."""

from collections.abc import Callable, Mapping
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from rl.plugins import Contract, call_plugin, find
from rl.settings import Finite, build, check_value
from rl.training.losses.entropy_minimisation import EntropyMinimisation
from rl.training.losses.self_confidence import SelfConfidence
from rl.training.losses.self_distillation import SelfDistillation
from rl.training.losses.term import TERM_WEIGHTS, LossTerm, Per, TermTokens
from rl.training.plugin_tensors import expect_weights, tensor_of
from rl.training.step_means import WeightedSum

TERM = Contract(built_with=("coef", "per"), has=("weights", "per_token"))
COUNT = "term_count."  # + the term's name: its N of the generation batch, on all ranks, ()

LOSS_TERMS: dict[str, Callable[..., Any]] = {
    "entropy_minimisation": EntropyMinimisation,
    "self_confidence": SelfConfidence,
    "self_distillation": SelfDistillation,
}


class LossTerms:
    """Adds terms to the loss of each micro-batch so that neither micro-batches nor ranks change it.

    Args:
        terms: Name -> term; those with a coefficient of 0 are left out.
    """

    def __init__(self, terms: Mapping[str, LossTerm]) -> None:
        self.terms = {name: term for name, term in terms.items() if term.coef}

    def __bool__(self) -> bool:
        return bool(self.terms)

    def weigh(self, rows: Mapping[str, Tensor], accelerator: Accelerator) -> dict[str, Tensor]:
        """Weigh the tokens of this rank's rows; every rank must call it.

        Args:
            rows: A generation batch, laid out.
            accelerator: Knows the other ranks.

        Returns:
            For each term its weights, (B, T), and what its sum is divided by in the whole batch.
        """
        found = {}
        mask = rows["completion_mask"]
        for name, term in self.terms.items():
            weights = weigh_tokens(name, term, mask, rows["advantages"])
            counted = {
                "token": weights,
                "completion": weights.amax(dim=1) > 0,
                "rollout": mask.any(dim=1),
            }
            here = counted[term.per].sum()
            found[f"{TERM_WEIGHTS}{name}"] = weights
            found[f"{COUNT}{name}"] = accelerator.reduce(here.float(), reduction="sum")
        return found

    def add_to(
        self,
        loss: Tensor,
        logps: Tensor,
        entropies: Tensor,
        inputs: Mapping[str, Tensor],
        share_of_step: float,
        compared: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, dict[str, WeightedSum]]:
        """Add the terms to the loss of one micro-batch.

        Args:
            loss: Of this micro-batch so far.
            logps: As in `TermTokens`.
            entropies: Likewise.
            inputs: The micro-batch, with what `weigh` returned.
            share_of_step: Factor on the batch-wide counts that makes them those of one optimizer
                step, divided by the number of ranks, whose gradients are averaged.
            compared: As in `TermTokens`.

        Returns:
            The whole loss, and signal/NAME of each term: its loss at the tokens of this
            micro-batch, and their weights.
        """
        tokens = TermTokens(
            logps=logps,
            entropies=entropies,
            old_logps=inputs.get("old_per_token_logps", logps).detach(),
            mask=inputs["completion_mask"],
            compared=compared,
        )
        metrics = {}
        for name, term in self.terms.items():
            # What only fills up the micro-batch has no mask.
            weights = inputs[f"{TERM_WEIGHTS}{name}"] * tokens.mask
            total = (weights * loss_of_tokens(name, term, tokens)).sum()
            count = inputs[f"{COUNT}{name}"].clamp(min=1.0) * share_of_step
            loss = loss + term.coef * total / count
            metrics[f"signal/{name}"] = (total, weights.sum())
        return loss, metrics


def weigh_tokens(name: str, term: LossTerm, mask: Tensor, advantages: Tensor) -> Tensor:
    """Return a term's weights, 0 outside the mask, (B, T).

    Raises:
        InputError: If the term raises, or returns anything but numbers of at least 0, (B, T).
    """
    what = f"loss_terms.{name}, weights"
    return expect_weights(what, call_plugin(what, term.weights, mask, advantages), mask)


def loss_of_tokens(name: str, term: LossTerm, tokens: TermTokens) -> Tensor:
    """Return a term's loss at each token, (B, T).

    Raises:
        InputError: If the term raises, or returns anything but a tensor (B, T).
    """
    what = f"loss_terms.{name}, per_token"
    return tensor_of(what, term.per_token, tokens, shape=tokens.mask.shape)


def build_loss_terms(settings: Mapping[str, Mapping[str, Any] | None]) -> LossTerms:
    """Build the terms that a recipe's `loss_terms` names.

    Args:
        settings: A key of `LOSS_TERMS`, `package.module:Class` or `path/to/file.py:Class` -> the
            term's settings.

    Raises:
        InputError: If a name or a setting is unknown, what it names cannot be loaded, or a value
            breaks its rule.
    """
    terms = {}
    for name, given in settings.items():
        kind = find(name, LOSS_TERMS, "loss_terms", contract=TERM)
        terms[name] = term = build(f"loss_terms.{name}", kind, given or {})
        check_value(f"loss_terms.{name}.coef", Finite, getattr(term, "coef", None))
        check_value(f"loss_terms.{name}.per", Per, getattr(term, "per", None))
    return LossTerms(terms)
