"""A batch of a real game with a real engine, on as many ranks as there are."""

import json
import math
import sys
from types import SimpleNamespace
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewards import get_game
from rl.plugins import allow_code
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.transformers_engine import TransformersEngine
from rl.selfplay.source import SelfPlaySource
from rl.training.costs import CostMeter


def play(model: str, game: str, num_rows: int) -> list[list[Any]]:
    """Play a round; return the rows that count, with the rank each is on."""
    accelerator = Accelerator(cpu=True)
    tokenizer = AutoTokenizer.from_pretrained(model)
    policy: Any = SimpleNamespace(
        engine=TransformersEngine(
            AutoModelForCausalLM.from_pretrained(model),
            tokenizer,
            SamplingSettings(max_completion_length=6),
        ),
        tokenizer=tokenizer,
        accelerator=accelerator,
        costs=CostMeter(),
        config=SimpleNamespace(seed=0, max_sampling_seconds=0.0),
        version=0,
    )
    source = SelfPlaySource(get_game(game, seed=0, num_askers=5))
    batch = source.next_batch([{}] * num_rows, policy, 0)
    rank = accelerator.process_index
    mine = slice(rank * num_rows, (rank + 1) * num_rows)
    numbers = zip(batch.rewards[mine].tolist(), batch.advantages[mine].tolist(), strict=True)
    rows = [
        [rank, row.prompt, row.completion, row.prompt_ids, row.sample.completion_ids, *values]
        for row, values in zip(batch.rows, numbers, strict=True)
    ]
    found = gather_object([row for row in rows if not math.isnan(row[-2])])
    accelerator.end_training()
    return found


if __name__ == "__main__":
    allow_code()
    rows = play(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    if rows:
        sys.stdout.write(json.dumps(rows) + "\n")
