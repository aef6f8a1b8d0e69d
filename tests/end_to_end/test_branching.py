"""Trees of completions: the same ones on one rank and on two, and their tokens counted once."""

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts, zero

BRANCHING = {"entropy_fork": {"num_trees": 2, "num_forks": 2, "num_branches": 2}}
PRUNED = {
    "entropy_confidence": {
        **{"num_roots": 4, "min_depth": 1, "entropy_high": 2.0, "entropy_low": 0.0},
        **{"entropy_delta_threshold": 0.0, "branch_threshold": 9.0, "prune_threshold": 2.86},
    }
}
SHAPED = {"token_selector": {"entropy_confidence": {}}, "beta": 0.1}
FLOATS = ("entropy", "advantage")  # rows of another batch round them differently


def test_trees_do_not_depend_on_ranks(recipe, tmp_path):
    found = {}
    for name, launcher in {"one": one_process(), "two": ranks(2)}.items():
        found[name] = launch(
            launcher,
            recipe,
            tmp_path / name,
            branching=BRANCHING,
            trained_subset="random",
            advantage="entropy_reshaped",
            num_prompts=3,
            num_updates=1,
            max_steps=1,
        )
    one, two = (read_rollouts(output_dir) for output_dir in found.values())
    for left, right in zip(one, two, strict=True):
        for key in FLOATS:
            assert left.pop(key, None) == pytest.approx(right.pop(key, None), abs=1e-5)
    assert one == two
    # Twelve votes each: two roots, up to two forks of two branches on each, the others plain.
    branches = [line["branch"] for line in one if "branch" in line]
    assert len(one) == 36
    assert 12 <= len(branches) <= 24
    by_place = {(line["visit"], line["rollout"]): line for line in one}
    for line in one:
        if "branch" in line:
            root = by_place[line["visit"], line["branch"]["root"]]
            assert line["branch"]["position"] < root["num_tokens"]
            assert "branch" not in root
    num_shared = sum(branch["position"] for branch in branches)
    num_tokens = sum(line["num_tokens"] for line in one)
    for output_dir in found.values():
        metrics = read_metrics(output_dir)[0]
        assert metrics["cost/num_sampled_tokens"] == num_tokens - num_shared
        assert metrics["branches/saved_tokens"] == metrics["cost/num_saved_tokens"] == num_shared
        assert metrics["branches/branch_frac"] == pytest.approx(len(branches) / 36)


def test_echo_whole(recipe, tmp_path):
    settings = {"branching": PRUNED, "trained_subset": "random", **SHAPED}
    found = launch(one_process(), recipe, tmp_path / "echo", max_steps=2, **settings)
    first, second = [line for line in read_metrics(found) if "loss" in line]
    # Weights of 0.8 to 1.2, about 1 on average; the second update has ratios to clip.
    assert first["signal/selected_frac"] == pytest.approx(1, abs=0.1)
    assert first["grad_norm"] > 0
    assert second["grad_norm"] > 0
    assert "clip_ratio/region_mean" in second


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero3", "lora", "vllm"])
def test_pruned_trees_wherever_they_are_sampled(recipe, tmp_path, name):
    settings = {"num_prompts": 3, "num_updates": 1, "max_steps": 2}
    settings |= {"branching": PRUNED, "trained_subset": "random"}
    launcher = zero(3) if name == "zero3" else one_process()
    more = {
        "zero3": {},
        "lora": {"lora": {"r": 4}},
        "vllm": {"use_vllm": True, "vllm_max_model_length": 64},
    }[name]
    found = launch(launcher, recipe, tmp_path / name, **settings, **more)
    lines = read_rollouts(found)
    kinds = {("branch" in line, "num_pruned" in line) for line in lines}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    assert all(line["truncated"] for line in lines if "num_pruned" in line)
    if name != "vllm":  # which draws with noise of its own
        plain = launch(one_process(), recipe, tmp_path / "plain", **settings)
        first = [line for line in lines if line["step"] == 1]
        expected = [line for line in read_rollouts(plain) if line["step"] == 1]
        assert [line["completion"] for line in first] == [line["completion"] for line in expected]
    else:
        assert read_metrics(found)[0]["signal/start_sampling_logp_gap"] < 1e-3


@pytest.mark.slow
def test_a_stopped_run_grows_the_same_trees(recipe, tmp_path):
    # Between the two updates on a batch, so that the rest of it is kept with its clips.
    settings = {"advantage": "entropy_reshaped", "save_steps": 1}
    settings |= {"branching": PRUNED, "trained_subset": "random", **SHAPED}
    whole = launch(one_process(), recipe, tmp_path / "whole", **settings)
    going_on = {"resume_from_checkpoint": str(whole / "checkpoint-1")}
    rest = launch(one_process(), recipe, tmp_path / "rest", **settings, **going_on)
    assert read_rollouts(rest) == [line for line in read_rollouts(whole) if line["step"] > 1]
