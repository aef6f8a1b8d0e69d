"""What is used of TRL beside its trainer and its configuration.

TRL promises none of these names. What of the trainer itself is used stands in
`rl.training.host.LabelFreeTrainer`; an upgrade of TRL begins with these two files and
`rl.versions.TRL_VERSION`.
"""

from typing import Any

from trl.distributed import DistributedBackend
from trl.models.utils import disable_gradient_checkpointing, unwrap_model_for_generation
from trl.trainer.utils import (
    add_fused_lm_head,
    create_model_from_path,
    maybe_gather_lm_head_ctx,
    nanmax,
    nanmin,
    nanstd,
    pad,
    shuffle_sequence_dict,
    split_tensor_dict,
    use_adapter,
)

__all__ = [
    "DistributedBackend",
    "add_fused_lm_head",
    "create_model_from_path",
    "disable_gradient_checkpointing",
    "maybe_gather_lm_head_ctx",
    "nanmax",
    "nanmin",
    "nanstd",
    "pad",
    "shuffle_sequence_dict",
    "split_tensor_dict",
    "unwrap_model_for_generation",
    "use_adapter",
]


def never_called(*args: Any, **kwargs: Any) -> list[float]:
    """Stand in for the reward function that TRL's trainer wants to be built with."""
    raise AssertionError("rewards are computed by the source")
