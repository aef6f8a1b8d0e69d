"""Seeds and settings that every engine shares."""

import pytest

from rl.rollouts.engine import SamplingSettings, derive_seed


@pytest.mark.parametrize(
    "parts", [(), ("",), (0,), (0, "p"), (0, "p", "0-0"), ("0", "p0", "-0"), (0, "p", "0-1")]
)
def test_seeds_are_in_range_and_follow_from_the_parts(parts):
    seed = derive_seed(*parts)
    assert 0 <= seed < 2**63
    assert derive_seed(*parts) == seed


def test_other_parts_give_other_seeds():
    seeds = {
        derive_seed(seed, f"prompt {i}", v) for seed in range(4) for i in range(50) for v in "ab"
    }
    assert len(seeds) == 4 * 50 * 2
    # Parts do not run into each other.
    assert derive_seed("ab", "c") != derive_seed("a", "bc")


def test_nothing_is_cut_off_by_default():
    assert SamplingSettings(max_completion_length=8).is_full_distribution
    # A temperature shapes the distribution but cuts nothing off.
    assert SamplingSettings(max_completion_length=8, temperature=0.6).is_full_distribution


@pytest.mark.parametrize(
    "cut", [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"repetition_penalty": 1.1}]
)
def test_what_cuts_the_distribution(cut):
    assert not SamplingSettings(max_completion_length=8, **cut).is_full_distribution
