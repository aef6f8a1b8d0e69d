"""Recipes of self-play: a round fits into the rows of a batch, and is the published one."""

from pathlib import Path

import pytest

from rl.selfplay.run_settings import read_selfplay
from rl.selfplay.spell.settings import SpellSettings
from rl.training.recipe import load_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "spell"
RECIPES = {path.stem: load_recipe(path) for path in sorted(FOLDER.glob("*.yaml"))}
PAPERS = {"spell_qwen2.5_7b_instruct", "spell_qwen3_4b_thinking"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_round_of_the_game_fits_into_the_rows_and_is_the_published_one(name):
    settings = RECIPES[name]
    game = read_selfplay(settings["selfplay"])
    known = SpellSettings.__dataclass_fields__.keys() & game.game_settings
    given = {key: game.game_settings[key] for key in known}
    assert SpellSettings(**given).max_trained <= (
        settings["num_prompts"] * settings["num_generations"]
    )
    if name in PAPERS:
        # What the authors' scripts train with; the paper's equation 10 weighs roles alike.
        assert game.role_mean == "pooled"
        given.pop("thinking", None)  # a matter of the model
        defaults = SpellSettings()
        assert {key: getattr(defaults, key) for key in given} == given
        # 128 questions: 128 x 8 answers, 2 x 128 questions, 16 groups of 8 judgments.
        assert defaults.max_trained == 1024 + 256 + 128
