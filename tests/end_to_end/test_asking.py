"""A reward that asks the policy: the same replies on any rank layout, and after a stop."""

from pathlib import Path

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts, zero

JUDGE = f"{Path(__file__).parent / 'first_character_judge.py'}:FirstCharacterJudge"
BATCH = {"rewards": {JUDGE: {}}, "num_prompts": 3, "num_updates": 1, "num_votes": 8}


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """A run of two steps on one rank, with a checkpoint after the first."""
    folder = tmp_path_factory.mktemp("asking") / "whole"
    settings = {**BATCH, "per_device_train_batch_size": 24, "max_steps": 2, "save_steps": 1}
    return launch(one_process(), recipe, folder, **settings)


def test_replies_are_paid_counted_and_written(whole):
    lines = read_rollouts(whole)
    asked = [line["asked"][JUDGE] for line in lines if "asked" in line]
    assert len(asked) == 2 * 3
    assert [line["rollout"] for line in lines if "asked" in line] == [0] * 6
    assert len({line["reward"] for line in lines}) > 3
    replies = [reply for of_group in asked for one in of_group for reply in one["replies"]]
    assert {len(one["replies"]) for of_group in asked for one in of_group[:-1]} == {3}
    assert all(one["replies"][0]["num_tokens"] <= 4 for *_, one in asked)
    metrics = [line for line in read_metrics(whole) if "loss" in line]
    assert sum(line["cost/num_asked_completions"] for line in metrics) == len(replies)
    tokens = sum(reply["num_tokens"] for reply in replies)
    assert sum(line["cost/num_asked_tokens"] for line in metrics) == tokens
    votes = sum(line["num_tokens"] for line in lines)
    assert sum(line["cost/num_sampled_tokens"] for line in metrics) == votes + tokens
    assert all(line["grad_norm"] > 0 for line in metrics)


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_replies_do_not_depend_on_ranks(whole, recipe, tmp_path, num_ranks):
    rows = 24 // num_ranks
    settings = {**BATCH, "per_device_train_batch_size": rows, "max_steps": 1}
    found = read_rollouts(launch(ranks(num_ranks), recipe, tmp_path / "ranks", **settings))
    assert found == [line for line in read_rollouts(whole) if line["step"] == 1]


@pytest.mark.slow
def test_a_stopped_run_asks_the_same(whole, recipe, tmp_path):
    settings = {**BATCH, "per_device_train_batch_size": 24, "save_steps": 1}
    parts = launch(one_process(), recipe, tmp_path / "parts", max_steps=1, **settings)
    meant = {"accept_changes": ["max_steps"], "resume_from_checkpoint": True, "max_steps": 2}
    launch(one_process(), recipe, parts, **meant, **settings)
    assert read_rollouts(parts) == read_rollouts(whole)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["zero3", "vllm"])
def test_sharded_and_vllm_policies_are_asked(recipe, tmp_path, launcher):
    started = zero(3) if launcher == "zero3" else one_process()
    rows = 12 if launcher == "zero3" else 24
    settings = {**BATCH, "per_device_train_batch_size": rows, "max_steps": 2}
    output_dir = launch(started, recipe, tmp_path / "run", use_vllm=launcher == "vllm", **settings)
    assert sum("asked" in line for line in read_rollouts(output_dir)) == 2 * 3
    metrics = [line for line in read_metrics(output_dir) if "loss" in line]
    assert all(line["cost/num_asked_tokens"] > 0 for line in metrics)
