"""Adaptive votes and token statistics are the same on any rank layout."""

from collections import Counter

import pytest
from launching import REWARD, launch, one_process, ranks, read_metrics, read_rollouts

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
            loss_terms={"entropy_minimisation": {"coef": 0.1}, "self_confidence": {"coef": 0.1}},
            beta=0.1,
            temperature=0.9,
            num_prompts=3,
            num_generations=16,
            num_votes=16,
            num_updates=1,
            per_device_train_batch_size=48 // num_ranks,
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
    bands = [f"signal/band_{end}" for end in ("low", "high", "above", "above_frac", "below_frac")]
    for name in ("signal/selected_frac", "loss", "grad_norm", "kl", *bands):
        assert two[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6), name


def test_loss_terms_do_not_depend_on_ranks(measured):
    # Loss and gradient, compared above, hold both of them.
    [one], [two] = (
        [line for line in read_metrics(measured[num_ranks]) if "loss" in line]
        for num_ranks in (1, 2)
    )
    for name in ("signal/entropy_minimisation", "signal/self_confidence"):
        assert one[name] > 0
        assert two[name] == pytest.approx(one[name], rel=1e-3), name
