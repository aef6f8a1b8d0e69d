"""The rules that say when a number is worse than it may be."""

import pytest

from rl.training.guards.signs import kappa_fell, share_rose, too_many_flips, veto, wilson_low


def test_the_lower_end_of_an_interval():
    assert wilson_low(0, 10) == 0.0
    # Share 0.5, z^2 = 3.8416: (0.5 + 0.19208 - 1.96 sqrt(0.025 + 0.009604)) / 1.38416 = 0.2366.
    assert wilson_low(5, 10) == pytest.approx(0.2366, abs=1e-4)


def test_a_share_of_flips_must_be_large_and_sure():
    assert not too_many_flips(0, 0)
    assert not too_many_flips(23, 23)  # too few
    assert not too_many_flips(14, 96)  # 0.146
    assert not too_many_flips(4, 24)  # 0.167, but its interval begins at 0.067
    assert too_many_flips(16, 96)  # 0.167, from 0.105 on


def test_a_fall_and_a_rise_must_be_seen_above_chance():
    assert not kappa_fell(0.2, 0.11)
    assert kappa_fell(0.2, 0.1)
    assert not kappa_fell(0.8, 0.5)
    assert kappa_fell(0.8, 0.47)
    assert not share_rose(0.0, 0.5)
    assert share_rose(0.0, 0.51)
    assert not share_rose(0.9, 1.0)


@pytest.mark.parametrize(
    ("best", "now", "reason"),
    [
        ({}, {}, None),
        ({"kappa": 0.5}, {"kappa": 0.4}, None),
        ({"kappa": 0.5}, {"kappa": 0.2}, "kappa fell from 0.50 to 0.20"),
        ({"truncated_frac": 0.0}, {"truncated_frac": 0.9}, "truncated_frac rose from 0.00 to 0.90"),
        (
            {},
            {"num_settled": 60, "settled_flips": 30},
            "30 of 60 prompts with a majority gave it to another answer",
        ),
    ],
)
def test_what_speaks_against_a_policy(best, now, reason):
    assert veto(best, now) == reason
