"""Factors of the roles, and the loss they make, counted by hand."""

import pytest

from rl.errors import InputError
from rl.selfplay.role_weights import role_scales
from rl.selfplay.run_settings import SelfPlaySettings

TOKENS = {"questioner": 100, "responder": 300, "verifier": 0}


def test_a_role_without_tokens_contributes_nothing():
    assert role_scales({}, {}) == {}
    assert role_scales({"questioner": 0}, {}) == {"questioner": 0.0}
    assert role_scales(TOKENS, {}) == {"questioner": 1.0, "responder": 1.0, "verifier": 0.0}
    # 400 tokens in all: 400 / 100 and 400 / 300.
    assert role_scales(TOKENS, {}, "per_role") == pytest.approx(
        {"questioner": 4.0, "responder": 4 / 3, "verifier": 0.0}
    )


def test_weights_multiply():
    weights = {"questioner": 0.5, "responder": 3.0, "verifier": 7.0}
    assert role_scales(TOKENS, weights, "per_role") == pytest.approx(
        {"questioner": 2.0, "responder": 4.0, "verifier": 0.0}
    )
    assert role_scales(TOKENS, weights) == {
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


def test_a_published_round_weighs_each_token_alike():
    # 1024 answers of 500 tokens, 256 questions of 600, 16 x 8 judgments of 200: 512,000, 153,600
    # and 25,600 tokens. Per role a judgment's token weighs 512,000 / 25,600 = 20 times an answer's.
    tokens = {"questioner": 256 * 600, "responder": 1024 * 500, "verifier": 128 * 200}
    per_role = role_scales(tokens, {}, "per_role")
    assert per_role["verifier"] / per_role["responder"] == pytest.approx(20.0)
    assert per_role["questioner"] / per_role["responder"] == pytest.approx(10 / 3)
    assert set(role_scales(tokens, {}).values()) == {1.0}
    assert SelfPlaySettings(game="spell").role_mean == "pooled"


def test_bad_settings():
    with pytest.raises(InputError, match="got 'judge', expected one of questioner"):
        role_scales(TOKENS, {"judge": 1.0}, "per_role")
    for weight in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"role_weights\.verifier: got"):
            SelfPlaySettings(game="spell", role_weights={"verifier": weight})
    with pytest.raises(InputError, match="role_mean: got 'mean', expected 'pooled' or 'per_role'"):
        SelfPlaySettings(game="spell", role_mean="mean")
