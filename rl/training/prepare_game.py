"""What a run of self-play needs in place of prompts, before a model is loaded."""

import math

from accelerate import PartialState
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from rl.data.prompts import PromptSet
from rl.errors import InputError
from rl.selfplay.game import Game
from rl.training.config import LabelFreeConfig


def seats(config: LabelFreeConfig, game: Game) -> PromptSet:
    """Stand-ins for prompts, as many as make a batch: a game writes its own.

    Raises:
        InputError: If a batch has fewer rows than a round may train.
    """
    num_rows = config.num_prompts * config.num_generations
    if num_rows < game.max_trained:
        raise InputError(
            f"num_prompts x num_generations: got {config.num_prompts} x {config.num_generations}, "
            f"expected at least the {game.max_trained} rows that a round may train. Set "
            f"num_prompts to {math.ceil(game.max_trained / config.num_generations)}."
        )
    rows = range(config.num_prompts)
    prompts = Dataset.from_dict({"prompt": [f"seat {row}" for row in rows], "row": list(rows)})
    return PromptSet(dataset=prompts, labels=None)


def preview_game(
    config: LabelFreeConfig, game: Game, tokenizer: PreTrainedTokenizerBase, context: int | None
) -> dict[str, str]:
    """Let the game check on the main process what it is played on, and tell of it."""
    if not hasattr(game, "preview") or not PartialState().is_main_process:
        return {}

    def count_tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return game.preview(  # type: ignore[attr-defined]
        count_tokens, None if context is None else context - config.max_completion_length
    )
