"""Runs a script as Accelerate would run it under FSDP, on ranks that are CPUs.

Usage: accelerate launch --config_file recipes/accelerate/fsdp2.yaml --num_processes 2 \\
           tests/end_to_end/fsdp_on_cpu.py scripts/train.py RECIPE.yaml ...

Accelerate 1.15 leaves CPU ranks out of the list of those that may shard: it ignores the launch
config's FSDP there without a word, and trains with DDP. PyTorch's FSDP2 itself runs on gloo.
"""

import runpy
import sys
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

_initialize = AcceleratorState.__init__


def initialize(self: AcceleratorState, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
    """Initialize the state, and let CPU ranks shard as devices of any other kind do."""
    _initialize(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin
        PartialState._shared_state["distributed_type"] = self.distributed_type


if __name__ == "__main__":
    AcceleratorState.__init__ = initialize
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
