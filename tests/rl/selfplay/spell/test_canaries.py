"""Canaries and their alarms, counted by hand."""

import json
import math

import pytest

from rl.errors import InputError
from rl.selfplay.spell.canaries import METRICS, Canaries, CanarySettings, opening_entropy

NOTHING = {
    "questions": [],
    "verdicts": [],
    "frozen_pairs": [],
    "reanswers": [],
    "wrong_answers": [],
}


def test_nothing_to_measure_raises_no_alarm():
    metrics, alarms = Canaries().check(**NOTHING)
    assert tuple(metrics) == METRICS
    assert all(math.isnan(value) for value in metrics.values())
    assert alarms == []


def test_a_round_is_measured():
    metrics, alarms = Canaries().check(
        questions=["Who wrote the Iliad?", "who wrote the iliad", "When did Troy fall?"],
        verdicts=[1, 1, 1, 0],
        frozen_pairs=[(1, 1), (1, 0), (0, 0), (1, 1)],
        reanswers=[True, False, False],
        wrong_answers=[["a", "a"], [], ["a", "b"]],
    )
    assert metrics["near_duplicates"] == pytest.approx(1 / 3)
    assert metrics["yes_rate"] == 0.75
    assert metrics["verifier_disagreement"] == 0.25
    assert metrics["reanswer_agreement"] == pytest.approx(1 / 3)
    assert metrics["wrong_answer_kinds"] == pytest.approx(0.75)  # 1/2 and 2/2
    # Two of three begin with who: -(2/3 log 2/3 + 1/3 log 1/3).
    assert metrics["opening_entropy"] == pytest.approx(0.6365, abs=1e-4)
    assert math.isnan(metrics["yes_rate_drift"])
    assert alarms == [
        "canary/verifier_disagreement: the verifier judges otherwise than at the start "
        "(0.25, expected at most 0.2)",
        "canary/reanswer_agreement: reference answers are not found again from their own documents "
        "(0.33, expected at least 0.5)",
    ]


def test_drift_is_measured_against_the_first_rounds():
    canaries = Canaries(settings=CanarySettings(baseline_rounds=2))
    for verdicts in ([1, 0], [], [1, 1, 1, 0]):  # a round without judgments is none
        assert math.isnan(canaries.check(**{**NOTHING, "verdicts": verdicts})[0]["yes_rate_drift"])
    # (0.5 + 0.75) / 2 = 0.625 against 1.0.
    metrics, alarms = canaries.check(**{**NOTHING, "verdicts": [1, 1]})
    assert metrics["yes_rate_drift"] == pytest.approx(0.375)
    assert alarms == [
        "canary/yes_rate_drift: the verifier's share of YES has moved (0.38, expected at most 0.2)"
    ]
    assert canaries.yes_rates == [0.5, 0.75]


def test_questions_are_compared_with_earlier_rounds():
    canaries = Canaries(settings=CanarySettings(history=2))
    first = {**NOTHING, "questions": ["one two three", "four five six", "seven eight nine"]}
    assert canaries.check(**first)[0]["near_duplicates"] == 0.0
    assert canaries.questions == ["four five six", "seven eight nine"]
    again = Canaries(settings=canaries.settings)
    again.load_state_dict(json.loads(json.dumps(canaries.state_dict())))
    metrics, alarms = again.check(**first)
    assert metrics["near_duplicates"] == pytest.approx(2 / 3)
    assert "questions repeat themselves (0.67" in alarms[0]
    off = Canaries(settings=CanarySettings(history=0))
    off.check(**first)
    assert off.questions == []


def test_opening_entropy():
    assert math.isnan(opening_entropy([]))
    assert opening_entropy(["Who?", "who? again"]) == 0.0
    assert opening_entropy(["", "who"]) == pytest.approx(math.log(2))


def test_bad_settings():
    with pytest.raises(InputError, match="baseline_rounds: got 0, expected above 0"):
        CanarySettings(baseline_rounds=0)
