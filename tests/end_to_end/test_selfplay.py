"""A game is the same on any rank layout, engine and sharding, and goes on after a stop."""

from pathlib import Path

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts, zero

GAME = f"{Path(__file__).parent / 'first_character_game.py'}:build"


@pytest.fixture(scope="module")
def settings():
    """28 episodes a round in 32 rows; fields that the recipe of prompts sets are taken back."""
    return {
        "selfplay": {"game": GAME, "role_weights": {"asker": 0.5}},
        "dataset": "",
        "num_prompts": 4,
        "num_generations": 8,
        "num_votes": 8,
        "num_updates": 1,
        "per_device_train_batch_size": 8,
        "max_steps": 2,
    }


def steps(output_dir):
    return [line for line in read_metrics(output_dir) if "loss" in line]


def test_ranks_and_micro_batches_change_nothing(recipe, tmp_path, settings):
    # Three requests for two ranks: the samples of the third are shared.
    settings = settings | {"selfplay": {**settings["selfplay"], "num_askers": 3}}
    layouts = {"one": (one_process(), 8), "two": (ranks(2), 4), "whole": (one_process(), 32)}
    runs = {
        name: launch(
            launcher,
            recipe,
            tmp_path / name,
            **settings | {"per_device_train_batch_size": rows, "max_steps": 1},
        )
        for name, (launcher, rows) in layouts.items()
    }
    lines = {name: read_rollouts(folder) for name, folder in runs.items()}
    assert len(lines["one"]) == 3 + 18
    assert {line["role"] for line in lines["one"]} == {"asker", "answerer"}
    [one], [two], [whole] = (steps(folder) for folder in runs.values())
    assert one["grad_norm"] > 0
    for name, other in (("two", two), ("whole", whole)):
        assert lines[name] == lines["one"]
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
        assert other["selfplay/num_rounds"] == one["selfplay/num_rounds"] == 1


def test_zero3_with_vllm_on_two_ranks_beside_a_frozen_policy(recipe, tmp_path, settings):
    """The first round is empty: every rank takes the step, with a gradient of zero."""
    game = {**settings["selfplay"], "frozen_policy": True, "num_empty_rounds": 1}
    settings = settings | {"selfplay": game, "max_steps": 3}
    run = launch(zero(3), recipe, tmp_path / "run", **settings, use_vllm=True)
    empty, *found = steps(run)
    assert empty["grad_norm"] == 0
    # Sampler and trainer are compared at the first rows that count.
    assert "signal/start_sampling_logp_gap" not in empty
    assert found[0]["signal/start_sampling_logp_gap"] < 1e-4
    assert [line["selfplay/num_trained"] for line in (empty, *found)] == [0, 28, 28]
    assert [line["selfplay/frozen"] for line in found] == [1, 1]
    assert [line["selfplay/num_rounds"] for line in found] == [2, 3]
    assert max(line["sampling/sampling_logp_difference/max"] for line in found) < 1e-4
    assert any(line["grad_norm"] > 0 for line in found)
