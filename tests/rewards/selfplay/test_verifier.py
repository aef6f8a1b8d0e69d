"""Judgments, their vote and what they pay, counted by hand."""

import pytest

from rewards.selfplay.verifier import VerifierVote, majority_verdict, read_verdict
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
        ([None] * 8, 0),
        ([1], 1),
        ([1] * 4 + [0] * 4, 0),  # 4 > 8 / 2 is false: a tie is NO
        ([1] * 4 + [0] * 3 + [None], 0),  # and so is 4 of 8 with a malformed one
        ([1] * 5 + [None] * 3, 1),
        ([1] * 2 + [None], 1),  # 2 of 3
    ],
)
def test_votes(verdicts, expected):
    assert majority_verdict(verdicts) == expected


def test_every_vote_of_eight_is_equation_4():
    # #YES > 4 of 8, whatever the others are: 5 YES leave 4 ways for the other three, 6 YES 3, 7 YES
    # 2, 8 YES 1: ten of the 45 compositions are YES.
    votes = {
        (yes, no): majority_verdict([1] * yes + [0] * no + [None] * (8 - yes - no))
        for yes in range(9)
        for no in range(9 - yes)
    }
    assert len(votes) == 45
    assert sorted(key for key, vote in votes.items() if vote) == [
        *((5, no) for no in range(4)),
        *((6, no) for no in range(3)),
        *((7, no) for no in range(2)),
        (8, 0),
    ]
    assert set(votes.values()) == {0, 1}


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
    with pytest.raises(InputError, match=r"malformed: got 0\.5, expected at most 0"):
        VerifierVote(malformed=0.5)
