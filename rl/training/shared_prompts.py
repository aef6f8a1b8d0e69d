"""A prompt is computed once for all of its completions, in a model's forward and backward pass.

Rows that complete one prompt repeat it, and a transformer computes it again for each. Here the
rows of a micro-batch become one packed sequence (`rl.training.packed_rows`), in which prompts that
begin alike share their beginning too (`rl.training.prompt_tree`). All layers but attention work on
tokens one by one and need not know. Attention gives each completion its prompt's keys and values
before its own, and the rest of a prompt those of its beginning, so that log-probabilities and
gradients are those of full rows, up to rounding (and dropout, which is drawn once for a prompt). No
cache is kept between layers: gradient checkpointing, adapters, mixtures of experts and sharding
work as they always do. A layer holds a copy of a prompt's keys and values for each of its
completions, and of a beginning's for each prompt that goes on from it, and nothing else of them.
The images of a prompt are run once too (`rl.training.shared_images`).
"""

import logging
from collections.abc import Sequence
from functools import wraps
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rl.training.packed_rows import PackedRows
from rl.training.run_images import RunImages
from rl.training.shared_images import SharedImages

_logger = logging.getLogger(__name__)
# What a model's configuration calls the attention below.
ATTENTION = "sdpa_shared_prompts"
# Values of `model_type` for which tests/rl/training/test_shared_prompts.py compares gradients.
ARCHITECTURES = (
    *("llama", "mistral", "mixtral", "smollm3", "qwen2", "qwen3", "qwen3_moe", "gemma"),
    *("gemma3_text", "phi3", "olmo2", "granite", "gpt2"),
)
# Likewise of models that read images, by tests/rl/training/test_shared_images.py. Their language
# model is one of those above, or their own.
VISION_ARCHITECTURES = (
    *("idefics3", "smolvlm", "llava", "llava_next", "llava_onevision", "internvl", "mistral3"),
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "glm4v"),
)
_OWN_LANGUAGE_MODELS = (
    *("qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text", "qwen3_vl_moe_text", "glm4v_text"),
)
# Those for which it cannot be right, as packed rows are attended to from left to right alone.
_BOTH_WAYS = "tokens of an image attend to those behind them too"
_ACROSS = "layers beside its attention join tokens with the image of their row"
NEVER_SHARED = {
    "gemma3": _BOTH_WAYS,
    "gemma4": _BOTH_WAYS,
    "paligemma": "a prompt is attended to in both directions",
    "mllama": _ACROSS,
    "idefics": _ACROSS,
}


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    shared_prompts: PackedRows | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as transformers' sdpa does; in packed rows each completion sees its prompt too.

    Args:
        module: The layer.
        query: (B, H, L, D); of packed rows (1, H, N, D).
        key: (B, K, L, D).
        value: (B, K, L, D).
        attention_mask: Of rows that are not packed; packed ones say themselves what they see.
        shared_prompts: The packed rows.
        sliding_window: How many tokens a token sees, itself included; None: all before it.
        kwargs: What transformers hands to an attention beside these.

    Returns:
        (B, L, H, D), and no weights.
    """
    if shared_prompts is None:
        kwargs["sliding_window"] = sliding_window
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)

    def attend_causally(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = None
        if sliding_window is not None or q.shape[2] != k.shape[2]:
            mask = _causal_mask(q.shape[2], k.shape[2], sliding_window, q.device)
        output, _ = sdpa_attention_forward(module, q, k, v, mask, **kwargs)
        return output.flatten(0, 1)

    # (N, H, D) -> (X, H, D)
    own = [x[0].transpose(0, 1).index_select(0, shared_prompts.padded) for x in (query, key, value)]
    of_prompts, of_completions, end = [], [], 0
    seen: list[tuple[Tensor, Tensor]] = []  # keys and values of a group's prompt from its start
    for group in shared_prompts.groups:
        tokens = slice(group.start, group.start + group.length)
        prompt_q, prompt_k, prompt_v = (x[:, :, tokens] for x in (query, key, value))
        if group.parent is not None:
            before_k, before_v = seen[group.parent]
            prompt_k = torch.cat([before_k, prompt_k], dim=2)
            prompt_v = torch.cat([before_v, prompt_v], dim=2)
        seen.append((prompt_k, prompt_v))
        of_prompts.append(attend_causally(prompt_q, prompt_k, prompt_v))
        size = (group.num_rows, group.completion_length)
        start, end = end, end + size[0] * size[1]
        if start == end:
            continue
        q, k, v = (x[start:end].unflatten(0, size).transpose(1, 2) for x in own)
        k = torch.cat([prompt_k.expand(len(k), -1, -1, -1), k], dim=2)
        v = torch.cat([prompt_v.expand(len(v), -1, -1, -1), v], dim=2)
        of_completions.append(attend_causally(q, k, v))
    output = torch.cat([*of_prompts, *of_completions])
    return output.index_select(0, shared_prompts.unpadded)[None], None


def _causal_mask(num_queries: int, num_keys: int, window: int | None, device: Any) -> Tensor:
    """Say which keys the last queries of a sequence see, (1, 1, queries, keys)."""
    keys = torch.arange(num_keys, device=device)
    distances = keys[num_keys - num_queries :, None] - keys
    sees = distances >= 0
    return (sees if window is None else sees & (distances < window))[None, None]


# Rows that are not packed are masked as for sdpa.
AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def share_prompts(
    models: Sequence[PreTrainedModel],
    accelerator: Accelerator,
    has_router_loss: bool = False,
    images: RunImages | None = None,
) -> bool:
    """Let models run each prompt of their rows once where they are asked for values of some tokens.

    That is, called with TRL's `fused_lm_head=True` or with `token_statistics=True`, and `labels`.
    Where `pack` has nothing to save, and in any other call, they are as before.

    Args:
        models: The policy, and the reference model if there is one, without wrappers, after what
            else changes their forward passes.
        accelerator: Knows the ranks.
        has_router_loss: Whether the loss has the router's, a mean over the tokens of whole rows.
        images: Those of the prompts. Models that share take the numbers of rows' images too, in
            the place of pixels; given pixels, they run rows as they are.

    Returns:
        Whether all of them can; else none does, and why is logged.
    """
    reasons = ["the router's loss is a mean over whole rows"] if has_router_loss else []
    reasons += [reason for model in models if (reason := why_not(model))]
    if reasons:
        if accelerator.is_main_process:
            _logger.warning("a prompt is computed for each of its completions: %s", reasons[0])
        return False
    for model in models:
        _share_prompts(model, SharedImages(images))
    return True


def why_not(model: PreTrainedModel) -> str | None:
    """Say why a model cannot share prompts; None if it can.

    Its attention must be transformers' sdpa, be told of its window, and be all that joins tokens,
    from left to right: so only architectures are taken for which a test compares gradients with
    those of full rows.
    """
    config, text_config = model.config, model.config.get_text_config()
    if (reason := NEVER_SHARED.get(config.model_type)) is not None:
        return f"in the architecture {config.model_type} {reason}"
    known = {*ARCHITECTURES, *(() if text_config is config else _OWN_LANGUAGE_MODELS)}
    is_known = text_config is config or config.model_type in VISION_ARCHITECTURES
    if not is_known or text_config.model_type not in known:
        which = text_config.model_type if is_known else config.model_type
        return f"not shown to be right for the architecture {which}"
    if (attention := text_config._attn_implementation) != "sdpa":
        return f"its attn_implementation is {attention}, not sdpa"
    if getattr(text_config, "output_router_logits", False):
        return "its output_router_logits is on, which is a loss over whole rows"
    return None


def _share_prompts(model: PreTrainedModel, images: SharedImages) -> None:
    is_text = model.config.get_text_config() is model.config
    model.set_attn_implementation(ATTENTION if is_text else {"text_config": ATTENTION})
    backbone: nn.Module = model.base_model

    def keep_predictors(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if (packed := kwargs.get("shared_prompts")) is not None:
            output.last_hidden_state = output.last_hidden_state.index_select(1, packed.predictors)

    # First of all hooks: the others see one state per scored token, as the head does.
    backbone.register_forward_hook(keep_predictors, with_kwargs=True, prepend=True)
    original: Any = model.forward

    @wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        asked = images.asked(kwargs)
        packed = None
        if asked == {"fused_lm_head"} or asked - {"with_confidence"} == {"token_statistics"}:
            packed = images.pack(kwargs)
        if packed is None:
            return original(*args, **images.whole(kwargs))
        outputs = original(
            input_ids=packed.input_ids[None],
            **images.of_packed(packed, backbone, kwargs),
            # transformers makes no mask of its own in place of one of four dimensions.
            attention_mask=torch.ones(1, 1, 1, 1, device=packed.input_ids.device),
            shared_prompts=packed,
            shift_labels=packed.labels[None],
            **{name: kwargs[name] for name in asked},
        )
        if isinstance(outputs, Tensor):
            return packed.spread(outputs.squeeze(-2))
        for name, value in outputs.items():
            if value.dim() == 2:
                outputs[name] = packed.spread(value[0])
        return outputs

    model.forward = forward
