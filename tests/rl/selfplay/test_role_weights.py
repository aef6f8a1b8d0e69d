"""Factors of the roles, and the loss they make, counted by hand."""

import pytest

from rl.errors import InputError
from rl.selfplay.role_weights import role_scales

TOKENS = {"questioner": 100, "responder": 300, "verifier": 0}


def test_a_role_without_tokens_contributes_nothing():
    assert role_scales({}, {}) == {}
    assert role_scales({"questioner": 0}, {}) == {"questioner": 0.0}
    # 400 tokens in all: 400 / 100 and 400 / 300.
    assert role_scales(TOKENS, {}) == pytest.approx(
        {"questioner": 4.0, "responder": 4 / 3, "verifier": 0.0}
    )


def test_weights_multiply():
    weights = {"questioner": 0.5, "responder": 3.0, "verifier": 7.0}
    assert role_scales(TOKENS, weights) == pytest.approx(
        {"questioner": 2.0, "responder": 4.0, "verifier": 0.0}
    )
    assert role_scales(TOKENS, weights, "pooled") == {
        "questioner": 0.5,
        "responder": 3.0,
        "verifier": 0.0,
    }


def test_scaled_advantages_give_the_mean_of_each_role():
    # Questioner: 2 tokens of advantage 3; responder: 6 tokens of advantage -1. The sum of role
    # means is 3 - 1 = 2, the pooled mean is (2 * 3 - 6) / 8 = 0.
    tokens = {"questioner": 2, "responder": 6}
    for how, expected in (("per_role", 2.0), ("pooled", 0.0)):
        scales = role_scales(tokens, {}, how)
        loss = (2 * 3.0 * scales["questioner"] + 6 * -1.0 * scales["responder"]) / 8
        assert loss == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weights", "how", "message"),
    [
        ({"judge": 1.0}, "per_role", "got 'judge', expected one of questioner"),
        ({"verifier": -1.0}, "per_role", "verifier: got -1.0, expected a number of at least 0"),
        ({"verifier": float("nan")}, "per_role", "got nan"),
        ({}, "mean", "role_mean: got 'mean', expected one of per_role, pooled"),
    ],
)
def test_bad_settings(weights, how, message):
    with pytest.raises(InputError, match=message):
        role_scales(TOKENS, weights, how)
