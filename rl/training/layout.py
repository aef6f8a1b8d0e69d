"""A batch's rows as the tensors of TRL's loss, under the names TRL gives them.

prompt_ids, prompt_mask         (B, P)   prompts, padded on the left
completion_ids, completion_mask (B, T)   completions, padded on the right
sampling_per_token_logps        (B, T)   under the distribution the tokens were drawn from
old_per_token_logps             (B, T)   under the policy before its first update on the rows
ref_per_token_logps             (B, T)   under the reference model
importance_sampling_ratio       (B, T)   trainer's / sampler's probability; (B, 1) by sequence
advantages                      (B,)     with a token selector (B, T)
image_row                       (B,)     row of the training set whose images a prompt has, or -1
num_items_in_batch              ()       sampled tokens that count, on all ranks

and of ours: `row_scale` (B,), `loss_scale` (), where prompts are shared `prompt_number` (B,), and
what `SelectedTokenTerms.select` and `LossTerms.weigh` return.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rl.training.config import LabelFreeConfig
from rl.training.source import Row
from rl.trl_internals import pad

# Values with one number per token of the prompt, and of the completion where they are (B, T).
PROMPT_KEYS = ("prompt_ids", "prompt_mask")
TOKEN_KEYS = (
    "completion_ids",
    "completion_mask",
    "sampling_per_token_logps",
    "old_per_token_logps",
    "ref_per_token_logps",
    "importance_sampling_ratio",
    "advantages",
    "token_weights",
)
# Losses that average over rows rather than over tokens.
ROW_MEAN_LOSSES = ("grpo", "sapo", "dr_grpo", "luspo")


def lay_out(
    rows: Sequence[Row], pad_token_id: int, pad_to_multiple_of: int | None = None
) -> dict[str, Tensor]:
    """Pad rows to one length: ids and masks, and the sampler's log-probabilities if all have them.

    Args:
        rows: At least one.
        pad_token_id: What is put where a row has ended.
        pad_to_multiple_of: TRL's setting of this name.
    """

    def padded(sequences: Sequence[Sequence[Any]], side: str, value: int) -> Tensor:
        return pad(list(map(torch.tensor, sequences)), value, side, pad_to_multiple_of)

    prompts = [row.prompt_ids for row in rows]
    completions = [row.sample.completion_ids for row in rows]
    tensors = {
        "prompt_ids": padded(prompts, "left", pad_token_id),
        "prompt_mask": padded([[1] * len(ids) for ids in prompts], "left", 0),
        "completion_ids": padded(completions, "right", pad_token_id),
        "completion_mask": padded([[1] * len(ids) for ids in completions], "right", 0),
        "image_row": torch.tensor([row.image_row for row in rows]),
    }
    logps = [row.sample.sampling_per_token_logps for row in rows]
    if None not in logps:
        # vLLM says None of a token it could not score; NaN is what the ratio below leaves out.
        known = [[float("nan") if x is None else x for x in row or []] for row in logps]
        tensors["sampling_per_token_logps"] = padded(known, "right", 0)
    return tensors


def in_parts(rows: Mapping[str, Tensor], size: int) -> Iterator[dict[str, Tensor]]:
    """Yield rows in parts of a size, as they go through a model; values without rows stay."""
    for start in range(0, len(rows["prompt_ids"]), size):
        part = slice(start, start + size)
        yield {name: value[part] if value.dim() else value for name, value in rows.items()}


def prompt_and_completion(rows: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, int]:
    """Return whole rows and their mask, (B, P + T) both, and T."""
    ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], dim=1)
    mask = torch.cat([rows["prompt_mask"], rows["completion_mask"]], dim=1)
    return ids, mask, rows["completion_ids"].shape[1]


def are_truncated(rows: Sequence[Row], end_token_ids: Collection[int]) -> Tensor:
    """Say which completions end neither with a token that ends one nor at a stop string, (B,)."""
    samples = [row.sample for row in rows]
    return torch.tensor(
        [s.truncated and s.completion_ids[-1] not in end_token_ids for s in samples]
    )


def importance_ratios(
    old_logps: Tensor, sampled: Tensor, mask: Tensor, config: LabelFreeConfig
) -> Tensor:
    """Correct for a sampler that is not quite the trainer: exp(old_logps - sampled), bounded.

    By sequence the logarithms are summed first. `truncate` moves a ratio to the bounds it exceeds,
    `mask` sets it to 0. A token that the sampler could not score counts as agreement.

    Source: TRL 1.16, `GRPOTrainer._generate_and_score_completions`.

    Args:
        old_logps: The trainer's log-probabilities, (B, T).
        sampled: The sampler's, (B, T).
        mask: 1 at sampled tokens, (B, T).
        config: TRL's settings `vllm_importance_sampling_mode`, `..._clip_min` and `..._clip_max`.

    Returns:
        (B, T), or (B, 1) where the mode is one of sequences.
    """
    level, _, bounds = config.vllm_importance_sampling_mode.partition("_")
    low = config.vllm_importance_sampling_clip_min
    high = config.vllm_importance_sampling_clip_max
    gaps = ((old_logps - sampled) * mask).nan_to_num(nan=0.0)
    ratios = torch.exp(gaps.sum(dim=-1, keepdim=True) if level == "sequence" else gaps)
    if bounds == "truncate":
        return ratios.clamp(min=low, max=high)
    is_out = torch.zeros_like(ratios, dtype=torch.bool)
    if low is not None:
        is_out |= ratios < low
    if high is not None:
        is_out |= ratios > high
    return ratios.masked_fill(is_out, 0.0)


def leave_out_unscorable(
    mask: Tensor, rewards: Tensor, advantages: Tensor, first_row: int, loss_type: str
) -> dict[str, Tensor]:
    """Let rows without reward and advantage carry no gradient and be in no normaliser.

    Args:
        mask: `completion_mask` of this rank's rows, (B, T).
        rewards: Of the rows of all ranks, NaN where a row cannot be scored, (R,).
        advantages: Likewise, (R,).
        first_row: Number of this rank's first row.
        loss_type: TRL's setting of this name.

    Returns:
        `completion_mask`, `advantages` and `row_scale` of this rank's rows. A loss that averages
        over rows divides by all of them; `row_scale`, which the advantages hold already and the KL
        term is multiplied by, makes it the scorable ones.
    """
    # An advantage rule may teach where no reward was paid, as RESTRAIN punishes silence.
    scorable = ~rewards.isnan() | (advantages != 0)
    scale = 1.0
    if loss_type in ROW_MEAN_LOSSES and scorable.any():
        scale = len(scorable) / scorable.sum().item()
    local = slice(first_row, first_row + len(mask))
    return {
        "completion_mask": mask * scorable[local].to(mask.device)[:, None],
        "advantages": (advantages[local] * scale).to(mask.device),
        "row_scale": torch.full((len(mask),), scale, device=mask.device),
    }
