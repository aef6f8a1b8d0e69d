"""What is used of TRL beside its trainer and its configuration, and of which TRL all of it is.

TRL promises none of these names. What of the trainer itself is used stands in
`rl.training.host.LabelFreeTrainer`; an upgrade of TRL begins with these two files.
"""

from importlib.metadata import version
from typing import Any

from trl.distributed import DistributedBackend
from trl.models.utils import disable_gradient_checkpointing, unwrap_model_for_generation
from trl.trainer.utils import (
    add_fused_lm_head,
    create_model_from_path,
    nanmax,
    nanmin,
    nanstd,
    pad,
    shuffle_sequence_dict,
    split_tensor_dict,
    use_adapter,
)

from rl.errors import InputError

__all__ = [
    "DistributedBackend",
    "add_fused_lm_head",
    "create_model_from_path",
    "disable_gradient_checkpointing",
    "nanmax",
    "nanmin",
    "nanstd",
    "pad",
    "shuffle_sequence_dict",
    "split_tensor_dict",
    "unwrap_model_for_generation",
    "use_adapter",
]
TRL_VERSION = "1.16.0"


def check_trl_version() -> None:
    """Refuse another TRL than the one whose private names are used.

    Raises:
        InputError: If another one is installed.
    """
    installed = version("trl")
    if installed != TRL_VERSION:
        raise InputError(
            f"trl: got version {installed}, expected {TRL_VERSION}, whose private methods the "
            f"trainer uses. Install it: pip install trl=={TRL_VERSION}."
        )


def never_called(*args: Any, **kwargs: Any) -> list[float]:
    """Stand in for the reward function that TRL's trainer wants to be built with."""
    raise AssertionError("rewards are computed by the source")
