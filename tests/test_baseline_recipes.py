"""Baselines of EVOL-RL: its recipes without its reward, and without its other two changes."""

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "recipes/evol_rl"
BASELINES = sorted((FOLDER / "baselines").glob("*.yaml"))
ALL_THREE = {"rewards", "epsilon_high", "entropy_coef"}


def test_every_evol_rl_recipe_has_its_ttrl():
    assert [
        path.name.replace("ttrl_", "evol_rl_") for path in BASELINES if "clip" not in path.name
    ] == [path.name for path in sorted(FOLDER.glob("*.yaml"))]


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_baselines_match_the_recipe_they_are_a_baseline_of(path):
    stem = path.name.replace("ttrl_clip_high_entropy_", "ttrl_")
    baseline, evol_rl = (
        yaml.safe_load(file.read_text())
        for file in (path, FOLDER / stem.replace("ttrl", "evol_rl"))
    )
    differing = {name for name in evol_rl | baseline if evol_rl.get(name) != baseline.get(name)}
    assert differing == ({"rewards"} if stem != path.name else ALL_THREE)
    assert baseline["rewards"] == {"majority_vote": {"preset": "reference_code"}}
