"""Models that one rank loads for itself, also in a run with DeepSpeed ZeRO-3 or FSDP."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Set by Accelerate: rank 0 alone reads the weights of a model that FSDP will shard.
_LEFT_TO_RANK_0 = "FSDP_CPU_RAM_EFFICIENT_LOADING"


@contextmanager
def whole_weights() -> Iterator[None]:
    """Load or build a model on this rank alone.

    In a run with ZeRO-3 transformers would split any model it loads over all ranks, which then have
    to load and run it in step. One that is not trained is never gathered: its layers were empty.
    With FSDP's efficient loading all ranks but the first of a machine would fill any model with
    zeros, and wait for a broadcast that only a model that is sharded gets.
    """
    with _kept_from_zero(), _kept_from_fsdp():
        yield


@contextmanager
def _kept_from_zero() -> Iterator[None]:
    deepspeed = sys.modules.get("transformers.integrations.deepspeed")
    reference = getattr(deepspeed, "_hf_deepspeed_config_weak_ref", None)
    config = reference() if reference is not None else None
    if deepspeed is None or config is None:
        yield
        return
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed.set_hf_deepspeed_config(config)


@contextmanager
def _kept_from_fsdp() -> Iterator[None]:
    setting = os.environ.pop(_LEFT_TO_RANK_0, None)
    try:
        yield
    finally:
        if setting is not None:
            os.environ[_LEFT_TO_RANK_0] = setting
