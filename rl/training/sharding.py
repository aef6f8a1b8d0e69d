"""Whether a launch shards weights over devices, so that ranks run every layer together."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


def sharding_of(config: "LabelFreeConfig") -> str:
    """Name how weights are sharded under the launch at hand: FSDP, ZeRO-3, or "" if they are not.

    Args:
        config: Settings of a run, made under that launch.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1") or config.fsdp:
        return "FSDP"
    stage = getattr(getattr(config, "deepspeed_plugin", None), "zero_stage", 0)
    return "ZeRO-3" if stage == 3 else ""
