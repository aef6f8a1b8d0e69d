"""Rewards of questions: the paper's table, and repetition counted by hand."""

import pytest

from rewards.selfplay.questioner import (
    GaussianDifficulty,
    UncertaintyChallenge,
    similar_questions,
)
from rl.errors import InputError


def test_the_gaussian_has_the_published_values():
    reward = GaussianDifficulty()
    # sigma = 1/6, so exp(-18 (p - 1/2)^2): at 3/8 exp(-18/64) = 0.7548, at 2/8 exp(-18/16) =
    # 0.3247, at 1/8 exp(-18 * 9/64) = 0.0796.
    table = [0.0, 0.0796, 0.3247, 0.7548, 1.0, 0.7548, 0.3247, 0.0796, 0.0]
    assert [reward(k / 8) for k in range(9)] == pytest.approx(table, abs=5e-5)
    assert (reward.not_grounded, reward.bad_format) == (-0.5, -1.0)


def test_the_width_is_a_setting():
    # The ablation's 0.5 / 2: exp(-8 (p - 1/2)^2), at 1/4 exp(-1/2).
    assert GaussianDifficulty(sigma=0.25)(0.25) == pytest.approx(0.606531)
    assert GaussianDifficulty(mu=0.25, zero=-0.1)(0.25) == 1.0
    assert GaussianDifficulty(zero=-0.1)(1.0) == -0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mu": 0.0}, "mu: got 0.0, expected above 0"),
        ({"sigma": 0.0}, "sigma: got 0.0, expected above 0"),
        ({"sigma": float("nan")}, "sigma: got nan"),
        ({"bad_format": 1.0}, "bad_format: got 1.0, expected at most 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        GaussianDifficulty(**settings)


def test_challenges_pay_for_disagreement():
    assert UncertaintyChallenge()([], []) == []
    # No two alike: each class is 1 of 4 questions, so the penalty is 0.25.
    questions = ["alpha", "beta", "gamma", "delta"]
    rewards = UncertaintyChallenge()(questions, [0.5, 0.75, 1.0, 0.0])
    assert rewards == pytest.approx([0.75, 0.25, 0.0, 0.0])
    off = UncertaintyChallenge(repetition_weight=0.0)
    assert off(questions, [0.5, 0.75, 1.0, 0.0]) == [1.0, 0.5, 0.0, 0.0]
    assert UncertaintyChallenge()([None, None], [None, None]) == [0.0, 0.0]
    assert UncertaintyChallenge()([None, "alpha"], [None, 0.5]) == [0.0, 0.0]


def test_challenges_as_the_reference_code_pays_them():
    code = UncertaintyChallenge(preset="reference_code")
    assert code([], []) == []
    # min(p, 1 - p) less 1/5 for a class of one among five proposals, without a floor.
    rewards = code(["alpha", None, "beta", "gamma", "delta"], [0.5, None, 0.75, 1.0, 0.0])
    assert rewards == pytest.approx([0.3, -1.2, 0.05, -0.2, -0.2])
    # Three alike of four proposals.
    rewards = code(["alpha", "alpha", None, "alpha"], [0.5, 0.75, None, 0.0])
    assert rewards == pytest.approx([-0.25, -0.5, -1.25, -0.75])
    assert code([None], [None]) == [-2.0]
    mild = UncertaintyChallenge(preset="reference_code", bad_format=0.0, repetition_weight=0.0)
    assert mild([None], [None]) == [0.0]
    with pytest.raises(InputError, match="preset: got 'code', expected 'paper' or"):
        UncertaintyChallenge(preset="code")


def test_repetition_costs_the_share_of_the_class():
    # Three equal of four: 3/4 each and 1/4 for the other.
    questions = ["How many tens are in 70?"] * 3 + ["Name a prime"]
    assert UncertaintyChallenge().repetition_penalties(questions) == [0.75, 0.75, 0.75, 0.25]


def test_similar_questions_are_one_class():
    assert similar_questions([], 0.5) == []
    assert similar_questions(["a b"], 0.5) == [0]
    assert similar_questions(["a b", "a b"], 0.0) == [0, 0]
    # "a b c d" against "a b c e": 3/4, 2/3, 1/2 and half a match of 1, so BLEU is
    # (3/4 * 2/3 * 1/2 * 1/2)^(1/4) = 0.125^(1/4) = 0.5946 and the distance 0.4054.
    assert similar_questions(["a b c d", "a b c e"], 0.41) == [0, 0]
    assert similar_questions(["a b c d", "a b c e"], 0.40) == [0, 1]
    assert similar_questions(["", "...", "a"], 0.5) == [0, 1, 2]
