"""Which prompts a recipe trains on: the published limit on their length, on real data."""

import re
from pathlib import Path

import pytest

from rl.training.recipe import load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted(
    path.relative_to(ROOT / "recipes").as_posix()
    for path in (ROOT / "recipes").rglob("*.yaml")
    if path.parent.name not in ("accelerate", "studies", "spell")
    and load_recipe(path).get("use_vllm")  # those of papers
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_prompt_is_limited_as_published(recipe):
    # SPINE's limit is ours; the others' are in the scripts and files that the headers name.
    short = "ttrl/.*aime24|evol_rl/|certainty/self|certainty/semantic"
    settings = load_recipe(ROOT / "recipes" / recipe)
    assert settings["max_prompt_length"] == (512 if re.search(short, recipe) else 1024)
    # vLLM's context follows from it; what is longer is dropped.
    assert not settings.keys() & {"vllm_max_model_length", "overlong_prompts"}
