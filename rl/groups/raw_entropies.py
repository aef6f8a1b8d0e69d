"""Entropies of the policy itself, beside log-probabilities of the distribution tokens come from."""

from functools import wraps
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rl.trl_internals import add_fused_lm_head


class _HeadAlone:
    """A model to TRL's eyes whose hidden states are there already: only the output head runs."""

    def __init__(self, model: PreTrainedModel, cast_lm_head_to_fp32: bool) -> None:
        self.config = model.config
        # Sharding and adapters replace the head, so it is looked up at each call.
        self.get_output_embeddings = model.get_output_embeddings
        self.backbone_outputs: Any = None
        to_trl: Any = self
        add_fused_lm_head(
            to_trl,
            cast_lm_head_to_fp32=cast_lm_head_to_fp32,
            outputs=("log_probs", "entropy"),
        )

    def base_model(self, **_: Any) -> Any:
        outputs, self.backbone_outputs = self.backbone_outputs, None
        return outputs

    def forward(self, fused_lm_head: bool, **labels: Tensor | None) -> Any:
        raise AssertionError("TRL's fused head replaces this")


def return_raw_entropies(model: PreTrainedModel, cast_lm_head_to_fp32: bool = False) -> None:
    """Let a model with TRL's fused output head return entropies at temperature 1.

    H = -sum_v p[v] log p[v], p = softmax(logits)

    Called with `fused_lm_head=True`, the model gives `log_probs` as before, of the logits divided
    by the sampling temperature, and `entropy` of the logits as they are. The backbone still runs
    once, the head twice. It stays one call of the whole model, which is what sharded training
    needs. Any other call is as before.

    Args:
        model: The policy after TRL's `add_fused_lm_head`, not yet wrapped.
        cast_lm_head_to_fp32: TRL's setting of this name.
    """
    head = _HeadAlone(model, cast_lm_head_to_fp32)

    def keep(module: torch.nn.Module, arguments: Any, output: Any) -> None:
        head.backbone_outputs = output

    backbone: torch.nn.Module = model.base_model
    backbone.register_forward_hook(keep)
    original: Any = model.forward

    @wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        if kwargs.get("fused_lm_head"):
            labels = {name: kwargs.get(name) for name in ("labels", "shift_labels")}
            outputs.entropy = head.forward(fused_lm_head=True, **labels).entropy
        head.backbone_outputs = None
        return outputs

    model.forward = forward
