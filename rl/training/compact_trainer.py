"""Trains on micro-batches without silent rows and without needless padding: the same gradient."""

import logging
import math
from typing import Any

import torch
from torch import Tensor

from rl.training.batches import choose_rows, join, pack_rows, row_lengths, silent_rows, take
from rl.training.resumable_trainer import ResumableGRPOTrainer

# Losses that average over rows rather than over tokens.
ROW_MEAN_LOSSES = ("grpo", "sapo", "dr_grpo", "luspo")
_logger = logging.getLogger(__name__)


class CompactGRPOTrainer(ResumableGRPOTrainer):
    """TRL's trainer, running only rows with something to teach, those of one length together.

    Within an optimizer step the rows that no loss term needs are left out, the others are sorted by
    length and shared out over the same number of micro-batches, and each of those is padded to its
    own longest row. The gradient of the step stays what it was, up to rounding. Every rank runs as
    many rows as the one with most to run: ranks compute in step. With `max_tokens_per_micro_batch`
    a micro-batch holds as many rows as fit in so many positions, instead of a number of rows.

    KL to a reference model acts on every row, so rows without an advantage run too. A term taken
    over all rows of a micro-batch together (an entropy bonus, a quantile of entropies, the router
    loss of a mixture of experts) keeps all rows of each micro-batch, and keeps them together; the
    loss of bnpo keeps them together. What TRL logs of tokens (entropy, clip ratios) is of the rows
    that run.

    Overridden, with TRL 1.16's signatures: `_prepare_inputs` and `_compute_loss`. Read: `_metrics`,
    `_entropy_bonus_enabled`, `aux_loss_enabled`.
    """

    _has_said_that_rows_stay = False

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        buffered: Any = self._buffered_inputs
        # A resumed run's rows come from the checkpoint as they were.
        if buffered is before or "loss_scale" in inputs:
            return inputs
        self._buffered_inputs = self._compact(buffered)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        return super()._compute_loss(model, inputs) * inputs.get("loss_scale", 1.0)

    @property
    def terms_over_micro_batches(self) -> list[str]:
        """Settings whose terms are taken over all rows of a micro-batch together."""
        is_on = {
            "entropy_coef": self._entropy_bonus_enabled,
            "top_entropy_quantile": self.top_entropy_quantile < 1.0,
            "router_aux_loss_coef": self.aux_loss_enabled,
        }
        return [name for name, on in is_on.items() if on]

    def _compact(self, buffered: list[dict[str, Any]]) -> list[dict[str, Any]]:
        trim = self.args.trim_micro_batches
        is_regrouped = trim and self.loss_type != "bnpo" and not self.terms_over_micro_batches
        size = self.args.gradient_accumulation_steps if is_regrouped else 1
        windows = [join(buffered[start : start + size]) for start in range(0, len(buffered), size)]
        keeps = [self._rows_to_run(rows) for rows in windows]
        counts = torch.tensor([[keep.sum().item() for keep in keeps]], device=keeps[0].device)
        most = torch.as_tensor(self.accelerator.gather(counts)).amax(dim=0).tolist()
        compact, positions = [], 0
        for rows, keep, count in zip(windows, keeps, most, strict=True):
            for part, runs in self._share_out(rows, keep, count, size):
                batch = take(rows, part, runs, trim)
                batch["loss_scale"] = self._loss_scale(rows, batch, len(keep) // size)
                positions += batch["completion_ids"].numel() + batch["prompt_ids"].numel()
                compact.append(batch)
        num_rows = sum(len(keep) for keep in keeps)
        width = buffered[0]["completion_ids"].shape[1] + buffered[0]["prompt_ids"].shape[1]
        skipped = 1 - sum(keep.sum().item() for keep in keeps) / num_rows
        self._metrics["train"]["cost/rows_skipped_frac"].append(skipped)
        self._metrics["train"]["cost/positions_run_frac"].append(positions / (num_rows * width))
        return compact

    def _share_out(
        self, rows: dict[str, Tensor], keep: Tensor, count: int, num_parts: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Share a step's rows out: the numbers of each micro-batch's rows, and which rows count."""
        budget = self.args.max_tokens_per_micro_batch
        if not budget:
            num_rows = math.ceil(max(count, num_parts) / num_parts) * num_parts
            chosen = choose_rows(row_lengths(rows), keep, num_rows)
            return [(part, keep) for part in chosen.chunk(num_parts)]
        chosen = choose_rows(row_lengths(rows), keep, count)
        prompts = rows["prompt_mask"].sum(dim=1)[chosen]
        completions = (rows["completion_mask"].sum(dim=1) * keep)[chosen]
        # TRL gathers a number per row, so micro-batches have as many rows on every rank.
        sizes = self.accelerator.gather(torch.stack([prompts, completions])[None])
        sizes = torch.as_tensor(sizes).amax(dim=0).cpu()
        parts = pack_rows(sizes[0], sizes[1], num_parts, budget)
        # What is left over runs one row that counts nowhere.
        filling = row_lengths(rows).argmin()[None], torch.zeros_like(keep)
        return [(chosen[part.start : part.stop], keep) if part else filling for part in parts]

    def _rows_to_run(self, rows: dict[str, Tensor]) -> Tensor:
        scorable = rows["completion_mask"].any(dim=1)
        if not self.args.skip_silent_rows:
            return torch.ones_like(scorable)
        if self.terms_over_micro_batches:
            self._say_that_rows_stay(self.terms_over_micro_batches)
            return torch.ones_like(scorable)
        silent = silent_rows(rows)
        if "token_weights" in rows:
            return scorable & (~silent | rows["token_weights"].any(dim=1))
        if self.beta:
            self._say_that_rows_stay(["beta"])
            return scorable
        return scorable & ~silent

    def _say_that_rows_stay(self, needs: list[str]) -> None:
        if not self._has_said_that_rows_stay and self.accelerator.is_main_process:
            self._has_said_that_rows_stay = True
            _logger.warning("rows without an advantage are run too, for %s", ", ".join(needs))

    def _loss_scale(self, rows: dict[str, Tensor], batch: dict[str, Tensor], num_rows: int) -> Any:
        """Undo what fewer rows do to a mean over the micro-batch."""
        if self.loss_type in ROW_MEAN_LOSSES:
            return torch.tensor(len(batch["completion_ids"]) / num_rows)
        if self.loss_type == "bnpo":
            return batch["completion_mask"].sum() / rows["completion_mask"].sum().clamp(min=1)
        return torch.tensor(1.0)
