"""Groups stay whole on any rank layout: real processes, the same prompts, the same rewards."""

from collections import Counter
from pathlib import Path

import pytest
from launching import REWARD, launch, one_process, ranks, read_metrics, read_rollouts

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


# Rows left out, of which ranks have different numbers.


def test_the_gradient_does_not_depend_on_ranks_nor_on_the_rows_left_out(recipe, tmp_path):
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


# Votes that stop once they are decided: the ranks need different numbers of them.

ADAPTIVE = {
    "num_votes": {"min": 8, "max": 24, "confidence": 0.7, "chunk": 4},
    "answer_methods": ["last_number"],
    "max_completion_length": 3,  # of random tokens, so that some prompts have a clear leader
}


def test_adaptive_votes_do_not_depend_on_ranks(recipe, tmp_path):
    found, costs = {}, {}
    for num_ranks in (1, 2):
        output_dir = launch(
            one_process() if num_ranks == 1 else ranks(num_ranks),
            recipe,
            tmp_path / str(num_ranks),
            num_prompts=8,
            num_generations=8,
            num_updates=1,
            per_device_train_batch_size=8,
            max_steps=1,
            **ADAPTIVE,
        )
        found[num_ranks] = read_rollouts(output_dir)
        [costs[num_ranks]] = [line for line in read_metrics(output_dir) if "loss" in line]
    assert found[2] == found[1]
    num_votes = Counter((line["prompt_id"], line["visit"]) for line in found[1])
    assert min(num_votes.values()) < 24
    assert len(set(num_votes.values())) > 1
    assert {line["rollout"] for line in found[1] if line["trained"]} == set(range(8))
    saved = 8 * 24 - len(found[1])
    for cost in costs.values():
        assert cost["cost/num_sampled_completions"] == len(found[1])
        assert cost["cost/num_saved_completions"] == saved
        assert 0 < cost["cost/num_saved_tokens"] <= 3 * saved


# What is measured of tokens, and which of them are trained, on one and on two ranks.


@pytest.fixture(scope="module")
def measured(recipe, tmp_path_factory):
    """Number of ranks -> output folder of a step with token statistics and a token selector."""
    found = {}
    for num_ranks in (1, 2):
        found[num_ranks] = launch(
            one_process() if num_ranks == 1 else ranks(num_ranks),
            recipe,
            tmp_path_factory.mktemp("tokens") / str(num_ranks),
            rewards={REWARD: {}, "self_certainty": {}, "token_entropy": {"weight": 0.5}},
            token_selector={"entropy_band": {"preset": "v2", "high_weight": 0.5}},
            beta=0.1,
            num_prompts=3,
            num_generations=16,
            num_votes=16,
            num_updates=1,
            per_device_train_batch_size=LAYOUTS[num_ranks],
            shuffle_dataset=False,
            max_steps=1,
        )
    return found


def test_token_rewards_do_not_depend_on_ranks(measured):
    one, two = (read_rollouts(measured[num_ranks]) for num_ranks in (1, 2))
    assert [line["completion"] for line in one] == [line["completion"] for line in two]
    for name in ("self_certainty", "token_entropy"):
        expected = [line["rewards"][name] for line in one]
        assert len(set(expected)) > 10
        # Batches of other shapes round differently.
        assert [line["rewards"][name] for line in two] == pytest.approx(expected, rel=1e-4)


def test_token_selection_does_not_depend_on_ranks(measured):
    [one], [two] = (
        [line for line in read_metrics(measured[num_ranks]) if "loss" in line]
        for num_ranks in (1, 2)
    )
    assert 0 < one["signal/selected_frac"] < 1
    for name in ("signal/selected_frac", "loss", "grad_norm"):
        assert two[name] == pytest.approx(one[name], rel=1e-3), name
