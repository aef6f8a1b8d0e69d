"""Trees of completions: the same ones on one rank and on two, and their tokens counted once."""

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts

BRANCHING = {"entropy_fork": {"num_trees": 2, "num_forks": 2, "num_branches": 2}}
FLOATS = ("entropy", "advantage")  # rows of another batch round them differently


def test_trees_do_not_depend_on_ranks(recipe, tmp_path):
    found = {}
    for name, launcher in {"one": one_process(), "two": ranks(2)}.items():
        found[name] = launch(
            launcher,
            recipe,
            tmp_path / name,
            branching=BRANCHING,
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
            shared = line["branch"]["position"]
            assert line["completion"][:shared] == root["completion"][:shared]
            assert shared < root["num_tokens"]
    num_shared = sum(branch["position"] for branch in branches)
    num_tokens = sum(line["num_tokens"] for line in one)
    for output_dir in found.values():
        metrics = read_metrics(output_dir)[0]
        assert metrics["cost/num_sampled_tokens"] == num_tokens - num_shared
        assert metrics["branches/saved_tokens"] == metrics["cost/num_saved_tokens"] == num_shared
        assert metrics["branches/branch_frac"] == pytest.approx(len(branches) / 36)
