"""Recipes of self-play: published values, and rows enough for every episode."""

from dataclasses import fields
from pathlib import Path

import pytest

from rl.selfplay.run_settings import read_selfplay
from rl.selfplay.spell.settings import SpellSettings
from rl.training.recipe import load_recipe

FOLDER = Path(__file__).parents[1] / "recipes" / "spell"
NAMES = sorted(path.name for path in FOLDER.glob("*.yaml"))


def read_game(name):
    settings = load_recipe(FOLDER / name)
    known = {f.name for f in fields(SpellSettings)}
    given = {key: value for key, value in settings["selfplay"].items() if key in known}
    return settings, given


@pytest.mark.parametrize("name", NAMES)
def test_a_round_fits_into_the_rows(name):
    settings, given = read_game(name)
    num_rows = settings["num_prompts"] * settings["num_generations"]
    assert SpellSettings(**given).max_trained <= num_rows


@pytest.mark.parametrize("name", [name for name in NAMES if "testbed" not in name])
def test_the_game_is_the_published_one(name):
    settings, given = read_game(name)
    # What the authors' scripts train with; the paper's equation 10 weighs roles alike.
    assert read_selfplay(settings["selfplay"]).role_mean == "pooled"
    given.pop("thinking", None)  # a matter of the model
    published = SpellSettings()
    assert {key: getattr(published, key) for key in given} == given
    # 128 questions: 128 x 8 answers, 2 x 128 questions, 16 groups of 8 judgments.
    assert published.max_trained == 1024 + 256 + 128
