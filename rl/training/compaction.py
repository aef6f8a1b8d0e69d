"""Cuts a batch into micro-batches without silent rows, needless padding or repeated prompts."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rl.training.batches import (
    by_prompt,
    choose_rows,
    join,
    pack_rows,
    row_lengths,
    silent_rows,
    take,
)
from rl.training.config import LabelFreeConfig
from rl.training.layout import ROW_MEAN_LOSSES
from rl.training.losses.term import TERM_WEIGHTS
from rl.training.packed_rows import (
    new_prompt_tokens,
    num_positions,
    prompt_keys,
    prompt_numbers,
)
from rl.training.run_images import RunImages
from rl.trl_internals import shuffle_sequence_dict, split_tensor_dict

_logger = logging.getLogger(__name__)
Rows = dict[str, Tensor]


class Compaction:
    """Runs only rows with something to teach, those of one prompt or of one length together.

    Within an optimizer step the rows that no loss term needs are left out, the others are sorted,
    by prompt where prompts are shared, else by length, and shared out over the same number of
    micro-batches, each padded to its own longest row. The gradient of the step stays what it was,
    up to rounding. Every rank runs as many rows as the one with most to run: ranks compute in step.
    With `max_tokens_per_micro_batch` a micro-batch holds as many rows as fit in so many positions,
    instead of a number of rows. Which rows are in a step does not depend on any of this.

    KL to a reference model acts on every row, so rows without an advantage run too, as do rows to
    which a further term of the loss gives weight. A term taken
    over all rows of a micro-batch together (an entropy bonus, a quantile of entropies, the router
    loss of a mixture of experts) keeps all rows of each micro-batch, and keeps them together; the
    loss of bnpo keeps them together. What TRL logs of tokens (entropy, clip ratios) is of the rows
    that run.

    Args:
        accelerator: Knows the ranks.
        config: Settings of the run.
        has_router_loss: Whether the loss has the router's of a mixture of experts.
        selects_tokens: Whether the rows have `token_weights`, which say where the KL term acts.
        shares_prompts: Whether the model runs a prompt once for all of its rows in a micro-batch.
        images: Those of the prompts, of a vision-language model.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        config: LabelFreeConfig,
        has_router_loss: bool,
        selects_tokens: bool,
        shares_prompts: bool,
        images: RunImages | None = None,
    ) -> None:
        self.accelerator = accelerator
        self.config = config
        self.shares_prompts = shares_prompts
        self.image_token_ids = images.inputs.image_token_ids if images else ()
        is_over_micro_batches = {
            "entropy_coef": config.entropy_coef != 0 or config.use_adaptive_entropy,
            "top_entropy_quantile": config.top_entropy_quantile < 1.0,
            "router_aux_loss_coef": has_router_loss,
        }
        needs = [name for name, is_on in is_over_micro_batches.items() if is_on]
        self.keeps_micro_batches = bool(needs)
        self.has_kl_everywhere = config.beta != 0 and not selects_tokens
        needs = needs or ["beta"] * self.has_kl_everywhere
        if needs and config.skip_silent_rows and accelerator.is_main_process:
            _logger.warning("rows without an advantage are run too, for %s", ", ".join(needs))

    def __call__(self, rows: Rows, num_parts: int) -> tuple[list[Rows], dict[str, float]]:
        """Shuffle the rows of a generation batch and cut them up; every rank must call it.

        Args:
            rows: Values named as in `rl.training.layout`.
            num_parts: Micro-batches to make.

        Returns:
            The micro-batches, each with `loss_scale`, and what was saved: cost/rows_skipped_frac
            and cost/positions_run_frac, of this rank.
        """
        if self.shares_prompts:
            numbers = [n.to(rows["prompt_ids"].device) for n in prompt_numbers(self._keys(rows))]
            rows["prompt_number"], rows["prompt_family"] = numbers
        shuffled: Any = shuffle_sequence_dict(rows)  # type: ignore[arg-type]
        return self._compact(split_tensor_dict(shuffled, num_parts))  # type: ignore[arg-type]

    def _compact(self, micro_batches: Sequence[Rows]) -> tuple[list[Rows], dict[str, float]]:
        config = self.config
        is_regrouped = (
            config.trim_micro_batches
            and config.loss_type != "bnpo"
            and not self.keeps_micro_batches
        )
        # Four micro-batches of two steps are two windows of two: rows may change places within a
        # window, never between windows, or a row would be in another optimizer step. If they may
        # not be regrouped at all, each micro-batch is a window of its own.
        size = config.gradient_accumulation_steps if is_regrouped else 1
        starts = range(0, len(micro_batches), size)
        windows = [join(micro_batches[start : start + size]) for start in starts]
        keeps = [self._rows_to_run(rows) for rows in windows]
        # Ranks compute in step, so all of them run as many rows of a window as the one with most to
        # run: (ranks, windows) -> (windows,). The others fill up with rows that count nowhere.
        counts = torch.tensor([[keep.sum().item() for keep in keeps]], device=keeps[0].device)
        most = torch.as_tensor(self.accelerator.gather(counts)).amax(dim=0).tolist()
        compact, positions = [], 0
        for rows, keep, count in zip(windows, keeps, most, strict=True):
            for part, runs in self._share_out(rows, keep, count, size):
                batch = take(rows, part, runs, config.trim_micro_batches)
                batch["loss_scale"] = self._loss_scale(rows, batch, len(keep) // size)
                positions += self._num_positions(batch)
                compact.append(batch)
        num_rows = sum(len(keep) for keep in keeps)
        first = micro_batches[0]
        width = first["completion_ids"].shape[1] + first["prompt_ids"].shape[1]
        skipped = 1 - sum(keep.sum().item() for keep in keeps) / num_rows
        return compact, {
            "cost/rows_skipped_frac": skipped,
            "cost/positions_run_frac": positions / (num_rows * width),
        }

    def _share_out(
        self, rows: Rows, keep: Tensor, count: int, num_parts: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Share a step's rows out: the numbers of each micro-batch's rows, and which rows count."""
        budget = self.config.max_tokens_per_micro_batch
        if not budget:
            # As many rows in each part, so up to num_parts - 1 more than needed; sorted by length,
            # each part is padded to no more than its own longest row.
            num_rows = math.ceil(max(count, num_parts) / num_parts) * num_parts
            return [(part, keep) for part in self._choose(rows, keep, num_rows).chunk(num_parts)]
        chosen = self._choose(rows, keep, count)
        prompts = rows["prompt_mask"].sum(dim=1)[chosen]
        completions = (rows["completion_mask"].sum(dim=1) * keep)[chosen]
        new = prompts
        if self.shares_prompts:
            new = new_prompt_tokens(self._keys(rows, chosen)).to(prompts.device)
            new = torch.where(keep[chosen], new, prompts)  # filling alone is not packed
        # TRL gathers a number per row, so micro-batches have as many rows on every rank: the i-th
        # rows of all ranks count as one that is as long as the longest of them, (3, rows).
        sizes = self.accelerator.gather(torch.stack([prompts, completions, new])[None])
        sizes = torch.as_tensor(sizes).amax(dim=0).cpu()
        shared = sizes[2] if self.shares_prompts else None
        parts = pack_rows(sizes[0], sizes[1], num_parts, budget, shared)
        # What is left over runs one row that counts nowhere.
        filling = row_lengths(rows).argmin()[None], torch.zeros_like(keep)
        return [(chosen[part.start : part.stop], keep) if part else filling for part in parts]

    def _choose(self, rows: Rows, keep: Tensor, num_rows: int) -> Tensor:
        """Choose rows to run, in the order in which they are shared out."""
        lengths = row_lengths(rows)
        chosen = choose_rows(lengths, keep, num_rows)
        if not self.shares_prompts:
            return chosen
        return by_prompt(chosen, lengths, rows["prompt_number"], rows["prompt_family"])

    def _num_positions(self, batch: Rows) -> int:
        padded = batch["completion_ids"].numel() + batch["prompt_ids"].numel()
        if not self.shares_prompts:
            return padded
        return num_positions(
            padded, self._keys(batch), batch["completion_mask"].sum(dim=1).tolist()
        )

    def _keys(self, rows: Rows, chosen: Any = slice(None)) -> list[bytes]:
        """What tells the prompts of chosen rows apart."""
        ids, mask = rows["prompt_ids"][chosen], rows["prompt_mask"][chosen]
        images = rows["image_row"][chosen] if "image_row" in rows else None
        return prompt_keys(ids, mask, images, self.image_token_ids)

    def _rows_to_run(self, rows: Rows) -> Tensor:
        scorable = rows["completion_mask"].any(dim=1)
        if not self.config.skip_silent_rows or self.keeps_micro_batches:
            return torch.ones_like(scorable)
        if self.has_kl_everywhere:  # the term pulls rows without an advantage as well
            return scorable
        teaches = ~silent_rows(rows)
        if "token_weights" in rows:
            teaches |= rows["token_weights"].any(dim=1)
        for name in rows:
            if name.startswith(TERM_WEIGHTS):
                teaches |= rows[name].any(dim=1)
        return scorable & teaches

    def _loss_scale(self, rows: Rows, batch: Rows, num_rows: int) -> Any:
        """Undo what fewer rows do to a mean over the micro-batch.

        A loss that divides by the rows of a micro-batch divides by len(batch) where it divided by
        `num_rows`; bnpo divides by tokens. The other losses divide by a number of the whole step,
        which left-out rows are still in (`num_items_in_batch`).
        """
        if self.config.loss_type in ROW_MEAN_LOSSES:
            return torch.tensor(len(batch["completion_ids"]) / num_rows)
        if self.config.loss_type == "bnpo":
            return batch["completion_mask"].sum() / rows["completion_mask"].sum().clamp(min=1)
        return torch.tensor(1.0)
