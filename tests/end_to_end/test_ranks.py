"""Groups stay whole on any rank layout: real processes, the same prompts, the same rewards."""

from pathlib import Path

import pytest
from launching import fsdp2, launch, one_process, ranks, read_metrics, read_rollouts, zero

# G = 16, three prompts: 48 rows on one rank; 2 x 24 cuts the second group in half; 3 x 16 does not.
LAYOUTS = {1: 48, 2: 24, 3: 16}


@pytest.fixture(scope="module")
def rollouts(recipe, tmp_path_factory):
    """Layout -> rollouts of a step; unshuffled, so rows 0 and 1, one text, share a batch."""
    found = {}
    for num_ranks, rows in LAYOUTS.items():
        launcher = one_process() if num_ranks == 1 else ranks(num_ranks)
        output_dir = tmp_path_factory.mktemp("ranks") / str(num_ranks)
        launch(
            launcher,
            recipe,
            output_dir,
            num_prompts=3,
            num_generations=16,
            num_votes=16,
            num_updates=1,
            per_device_train_batch_size=rows,
            shuffle_dataset=False,
            max_steps=1,
        )
        found[num_ranks] = read_rollouts(output_dir)
    return found


def test_each_group_is_whole_and_scored_once(rollouts):
    for lines in rollouts.values():
        assert len(lines) == 48
        visits = {line["visit"] for line in lines}
        assert visits == {"0-0", "0-1", "0-2"}
        for visit in visits:
            numbers = [line["rollout"] for line in lines if line["visit"] == visit]
            assert numbers == list(range(16))


def test_same_prompt_text_makes_two_groups(rollouts):
    first, second = (
        [line["completion"] for line in rollouts[1] if line["visit"] == visit]
        for visit in ("0-0", "0-1")
    )
    ids = {line["prompt_id"] for line in rollouts[1] if line["visit"] in ("0-0", "0-1")}
    assert len(ids) == 1
    assert first != second


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_rewards_and_advantages_do_not_depend_on_ranks(rollouts, num_ranks):
    expected = rollouts[1]
    assert len({line["reward"] for line in expected}) > 3  # the reward tells rollouts apart
    assert any(line["advantage"] for line in expected)
    assert rollouts[num_ranks] == expected


# Rows left out, of which ranks have different numbers; prompts that are shared.


def test_the_gradient_does_not_depend_on_ranks_nor_on_what_is_left_out(recipe, tmp_path):
    silent = f"{Path(__file__).parent / 'mostly_silent.py'}:mostly_silent"
    found = {}
    runs = {
        "one": (1, True, 0),
        "two": (2, True, 0),
        "packed": (2, True, 80),
        "full": (2, False, 0),
    }
    for name, (num_ranks, skip, budget) in runs.items():
        output_dir = launch(
            one_process() if num_ranks == 1 else ranks(num_ranks),
            recipe,
            tmp_path / name,
            rewards={silent: {}},
            num_prompts=3,
            num_generations=16,
            num_votes=16,
            num_updates=1,
            per_device_train_batch_size=8,
            shuffle_dataset=False,
            skip_silent_rows=skip,
            shared_prompts=skip,
            max_tokens_per_micro_batch=budget,
            max_steps=1,
        )
        [found[name]] = [line for line in read_metrics(output_dir) if "loss" in line]
    # Main rank: group 0 and half of group 1 of 24 rows; group 0 alone teaches. In all: 20 of 48.
    assert found["one"]["cost/rows_skipped_frac"] == pytest.approx(28 / 48)
    assert found["two"]["cost/rows_skipped_frac"] == pytest.approx(8 / 24)
    assert found["full"]["cost/rows_skipped_frac"] == 0.0
    assert found["full"]["grad_norm"] > 0
    for name in ("one", "two", "packed"):
        assert found[name]["grad_norm"] == pytest.approx(found["full"]["grad_norm"], rel=1e-4)


SHARDED = {"zero2": zero(2), "zero3": zero(3), "fsdp2": fsdp2()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDED)
def test_shared_prompts_of_sharded_models_keep_the_gradient(recipe, tmp_path, name):
    found = []
    for shared in (True, False):
        output_dir = launch(
            SHARDED[name],
            recipe,
            tmp_path / str(shared),
            use_vllm=name == "fsdp2",
            num_updates=1,
            gradient_checkpointing=True,
            shared_prompts=shared,
            max_steps=1,
        )
        found += [line for line in read_metrics(output_dir) if "loss" in line]
    assert found[0]["grad_norm"] > 0
    assert found[0]["grad_norm"] == pytest.approx(found[1]["grad_norm"], rel=1e-4)
    assert found[0]["cost/positions_run_frac"] < found[1]["cost/positions_run_frac"]
