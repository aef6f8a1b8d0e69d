"""Groups of rollouts, and what of them is worth a look."""

import pytest

from rl.report.rollout_groups import (
    MAX_CHARACTERS,
    cut_completion,
    group_lines,
    is_cut,
    leading_share,
    majority_answer,
    reasons_to_look,
)


def rollouts(*votes):
    """Rollouts from (answer class, reward) pairs; more in a dictionary at the third place."""
    return [
        {"cluster": v[0], "answer": f"a{v[0]}", "reward": v[1], "trained": True, **dict(*v[2:])}
        for v in votes
    ]


def test_groups_are_joined_by_prompt_visit_and_role(make_line):
    lines = [
        make_line(1, "1", 1.0),
        make_line(0, None, None, note="kept"),
        make_line(0, "1", 1.0, visit="0-1"),
        make_line(0, "1", 1.0, role="verifier"),
    ]
    groups = group_lines(lines)
    assert [(g["prompt_id"], g["visit"], g["role"], len(g["rollouts"])) for g in groups] == [
        ("p0", "0-0", "", 2),
        ("p0", "0-1", "", 1),
        ("p0", "0-0", "verifier", 1),
    ]
    assert [rollout["rollout"] for rollout in groups[0]["rollouts"]] == [0, 1]
    assert groups[0]["rollouts"][0]["note"] == "kept"
    assert "step" not in groups[0]["rollouts"][0]


def test_long_completions_lose_their_middle():
    text = "a" * MAX_CHARACTERS + "b"
    completion = cut_completion({"completion": text})["completion"]
    assert completion.startswith("a" * (MAX_CHARACTERS // 2) + "\n")
    assert completion.endswith("ab")
    assert "1 characters left out" in completion
    assert is_cut({"completion": completion})
    whole = {"completion": text[1:]}
    assert cut_completion(whole) is whole
    assert not is_cut(whole)


def test_a_majority_stands_alone_in_the_first_place():
    assert majority_answer([]) is None
    assert majority_answer(rollouts((None, 0), (None, 0))) is None
    assert majority_answer(rollouts((0, 0), (1, 0))) is None
    assert majority_answer(rollouts((0, 0), (1, 0), (1, 0), (None, 0))) == (1, "a1")
    # Two of four; a tie has a leading share all the same.
    assert leading_share(rollouts((0, 0), (1, 0), (1, 0), (None, 0))) == 0.5
    assert leading_share(rollouts((0, 0), (1, 0))) == 0.5
    assert leading_share([]) == leading_share(rollouts((None, 0))) == 0.0


@pytest.mark.parametrize(
    ("votes", "reasons"),
    [
        ([], []),
        ([(0, 1.0), (0, 1.0), (1, 0.0)], []),
        ([(0, 1.0), (0, 1.0), (1, 1.0)], []),  # all are paid alike
        ([(0, 0.0), (0, 0.0), (1, 1.0)], ["paid outside the majority"]),
        ([(0, 0.0), (0, 1.0), (1, 1.0)], []),  # one of the best paid is in it
        ([(0, 0.0), (0, 0.0), (None, 1.0)], ["paid outside the majority", "odd rewards"]),
        ([(0, 1.0, {"truncated": True}), (0, 0.5), (1, 0.0)], ["odd rewards"]),
        ([(0, 1.0), (0, None), (0, 1.0)], ["odd rewards"]),
        ([(0, 1.0), (0, None, {"trained": False}), (0, 1.0)], []),
        ([(0, 1.0), (None, 0.0)], ["no answers"]),
    ],
)
def test_what_a_group_shows(votes, reasons):
    assert reasons_to_look(rollouts(*votes)) == reasons
