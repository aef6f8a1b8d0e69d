"""Configs of recipes on any number of processes; run as a program, it reads requests as JSON.

That program has ranks and an environment of its own, which leaves the tests' process alone.
"""

import json
import os
import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).parents[2]


def configure(recipe, num_processes, overrides):
    """Make a recipe's config as rank 0 of `num_processes`, as `--dry_run` does."""
    import torch.distributed as dist
    from accelerate.state import AcceleratorState
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from rl.errors import InputError
    from rl.training.recipe import load_recipe, make_config, parse_overrides

    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(num_processes)}
    os.environ |= {"MASTER_ADDR": "localhost", "OMP_NUM_THREADS": "1"}
    # PyTorch's own stand-in for a process group: it has a size, and nobody waits for the others.
    dist.init_process_group("fake", rank=0, world_size=num_processes, store=FakeStore())
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        settings = load_recipe(ROOT / recipe) | parse_overrides(overrides)
        config = make_config({"output_dir": "runs/test", **settings})
    except InputError as error:
        return {"error": str(error)}
    finally:
        dist.destroy_process_group()
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return values | {"world_size": config.world_size, "geometry": config.geometry}


if __name__ == "__main__":
    print(json.dumps([configure(*request) for request in json.load(sys.stdin)], default=str))
