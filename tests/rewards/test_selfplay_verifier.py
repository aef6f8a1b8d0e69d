"""Judgments, their vote and what they pay, counted by hand."""

import pytest

from rewards.selfplay_verifier import VerifierVote, majority_verdict, read_verdict
from rl.errors import InputError


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", None),
        ("[YES]", 1),
        ("They differ: 3 and 4. [NO]", 0),
        ("[[YES]]", 1),
        ("[YES] [YES]", 1),
        ("[YES] or [NO]", None),
        ("YES", None),
        ("[yes]", None),
        ("(YES)", None),
        ("<think>[NO]</think>[YES]", 1),
        ("<think>[YES] so", None),
        ("[" * 1_000_000 + "YES", None),
    ],
    ids=range(12),
)
def test_a_judgment_is_read_strictly(text, verdict):
    assert read_verdict(text) == verdict


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], None),
        ([None] * 8, None),
        ([1], 1),
        ([1] * 4 + [0] * 4, 0),  # 4 > 8 / 2 is false: a tie is NO
        ([1] * 5 + [0] * 3, 1),
        ([1] * 3 + [0] * 2 + [None] * 3, 1),  # 3 of 5 valid
        ([1] * 2 + [0] * 2 + [None] * 4, 0),  # half of them valid, tied
        ([1] * 3 + [None] * 5, None),  # 3 valid of 8
        ([1] * 2 + [None], 1),  # 2 valid of 3
    ],
)
def test_malformed_judgments_do_not_vote(verdicts, expected):
    assert majority_verdict(verdicts) == expected


def test_the_responder_is_paid_by_rule_or_vote():
    vote = VerifierVote()
    assert [vote.responder_reward(r, v) for r in (0.0, 1.0) for v in (None, 0, 1)] == [
        *(0.0, 0.0, 1.0),
        *(1.0, 1.0, 1.0),
    ]


def test_the_verifier_is_paid_for_agreement():
    vote = VerifierVote()
    assert vote.judgment_rewards([1, 0, None, 1], 1) == [1.0, 0.0, -1.0, 1.0]
    assert vote.judgment_rewards([1, None, None], None) == [None, -1.0, -1.0]
    assert VerifierVote(malformed=-0.25).judgment_rewards([None], 0) == [-0.25]
    with pytest.raises(InputError, match=r"malformed: got 0\.5, expected a number of at most 0"):
        VerifierVote(malformed=0.5)
