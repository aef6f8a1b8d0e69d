"""Runs a script as Accelerate would run it under ZeRO-3, with no weight left whole on every rank.

Usage: accelerate launch --config_file recipes/accelerate/zero3.yaml --num_processes 2 \\
           tests/end_to_end/zero3_of_all_weights.py scripts/train.py RECIPE.yaml ...

DeepSpeed leaves what has fewer than 100,000 numbers on every rank, so all of a tiny model: its
ranks would never wait for each other, and nothing would ever be gathered.
"""

import runpy
import sys

from accelerate.utils import DeepSpeedPlugin

_finish = DeepSpeedPlugin.__post_init__


def finish(self: DeepSpeedPlugin) -> None:
    """Finish the configuration, and let it gather weights of any size."""
    _finish(self)
    self.deepspeed_config["zero_optimization"]["stage3_param_persistence_threshold"] = 0


if __name__ == "__main__":
    DeepSpeedPlugin.__post_init__ = finish
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
