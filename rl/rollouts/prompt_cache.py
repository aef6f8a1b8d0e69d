"""The cache of a batch's prompts, each run once and repeated for all of its samples."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import Cache


@torch.no_grad()
def repeated_prompt_cache(
    model: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    rows: Tensor,
    image_inputs: Mapping[str, Tensor] | None = None,
) -> Cache | None:
    """Run each prompt once, up to its last token, and give every sample a copy of its cache.

    The last token is left to `generate`, which predicts the first sampled token from it. The output
    head runs at one position of a prompt, or at all where a model cannot be asked for fewer.

    Args:
        model: What `generate` is called on; LoRA adapters stay in effect.
        prompt_ids: The different prompts, padded on the left, (P, L).
        prompt_mask: 1 at tokens of the prompts, 0 at padding, (P, L).
        rows: For each of the B samples, the position of its prompt, (B,).
        image_inputs: Further arguments of the model: pixels of all prompts, once each.

    Returns:
        A cache of L - 1 positions for B rows. None where there is nothing to save (no prompt has
        two samples, or none two tokens) and where the model keeps no cache that counts positions
        (Mamba's states) or places tokens in a picture by more than their number (Qwen's VL models):
        then `generate` runs the prompts itself, once per sample.
    """
    length = prompt_ids.shape[1] - 1
    if length == 0 or len(rows) == len(prompt_ids):
        return None
    # `generate` calls the model within the adapters' wrapper, in whose precision the cache must be.
    model = model.get_base_model() if isinstance(model, PeftModel) else model
    if hasattr(model.base_model, "rope_deltas"):
        return None
    mask = prompt_mask[:, :-1]
    inputs = {
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),  # as `generate` counts them
        "logits_to_keep": 1,
    }
    accepted = signature(model.forward).parameters
    output = model(
        input_ids=prompt_ids[:, :-1],
        attention_mask=mask,
        use_cache=True,
        **{name: value for name, value in inputs.items() if name in accepted},
        **(image_inputs or {}),
    )
    cache = getattr(output, "past_key_values", None)
    if not isinstance(cache, Cache) or cache.get_seq_length() != length:
        return None
    # Unlike `batch_repeat_interleave` this takes as many copies of each prompt as it has samples in
    # the batch, and copies the states of layers with linear attention too.
    cache.reorder_cache(rows)  # type: ignore[arg-type]  # type: ignore[arg-type]
    return cache
