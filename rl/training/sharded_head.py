"""The output head of a vision-language model under FSDP2: whole where TRL multiplies by its weight.

TRL's fused head takes the head's weight without calling the module. Accelerate 1.15 shards the head
together with the norm before it, whose call makes both whole, but finds no norm that lies within a
language model within a model. Then TRL 1.16 gathers the weight itself, and each rank's gradient of
it stays that of its own rows.
"""

from collections.abc import Sequence
from functools import wraps
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel


def gather_heads(models: Sequence[PreTrainedModel]) -> None:
    """Make the head's weight whole in calls with TRL's `fused_lm_head=True`.

    It stays whole until the backward pass has added up its gradients over ranks. Any other call is
    as before, and all are where the head is no module of FSDP2's own.

    Args:
        models: The policy, and the reference model if there is one, without wrappers.
    """
    for model in models:
        _gather_head(model)


def _gather_head(model: PreTrainedModel) -> None:
    original: Any = model.forward

    @wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        head: Any = model.get_output_embeddings()  # sharding replaces it
        if not kwargs.get("fused_lm_head") or not isinstance(head, FSDPModule):
            return original(*args, **kwargs)
        head.unshard()
        outputs = original(*args, **kwargs)
        if not torch.is_grad_enabled():
            head.reshard()
        return outputs

    model.forward = forward
