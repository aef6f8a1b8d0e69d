"""Models that one rank loads for itself, also in a run with DeepSpeed ZeRO-3."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def whole_weights() -> Iterator[None]:
    """Load or build a model on this rank alone.

    In a run with ZeRO-3 transformers would split any model it loads over all ranks, which then have
    to load and run it in step. One that is not trained is never gathered: its layers were empty.
    """
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
