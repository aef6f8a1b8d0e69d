"""Votes weighed by what all programs of the group print, counted by hand."""

import random

import pytest

from rewards import get_reward
from rewards.program_votes import ProgramVotes, printed_classes
from rl.errors import InputError
from rl.types import Group


def coded(program, answer):
    return f"Let me compute.\n```python\n{program}\n```\n\\boxed{{{answer}}}"


@pytest.mark.parametrize("answers", [[], [None], ["2"]])
def test_without_programs_it_is_the_plain_vote(make_group, answers):
    group = make_group(answers)
    assert ProgramVotes()(group) == [1.0] * len(answers)


def test_a_program_votes_for_what_it_prints(make_group):
    # 2 has 2 votes and 3 programs: each of its votes counts 1 + 4 * 3 / 2 = 7, so 14 in all, which
    # is 2 + 4 * 3. 3 has 3 votes and 1 program: 1 + 4 / 3 each, and 7 in all. Nobody says 9.
    texts = [
        coded("print(1 + 1)", "2"),
        r"\boxed{2}",
        coded("print(1 + 1)", "3"),
        coded("print(3)", "3"),
        coded("print(9)", "3"),
        coded("print(2)", ""),  # no answer, but a program
        coded("print(2)\n1 / 0", ""),  # fails
    ]
    group = make_group(["2", "2", "3", "3", "3", None, None], completions=texts)
    of_three = pytest.approx(1 + 4 / 3)
    assert ProgramVotes(omega=5.0)(group) == [7.0, 7.0, of_three, of_three, of_three, 1.0, 1.0]
    assert ProgramVotes(omega=1.0)(group) == [1.0] * 7
    vote = get_reward("weighted_vote", by={"program_votes": {"omega": 5.0}})
    assert vote(group) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    # Six of seven have a program; two of these print the rollout's own answer, one fails.
    metrics = ProgramVotes().group_metrics(group)
    assert metrics["program_frac"] == 6 / 7
    assert metrics["verified_frac"] == 2 / 7
    assert (metrics["failed_frac"], metrics["refuted_frac"]) == (1 / 6, 3 / 6)


def test_the_order_of_the_rollouts_plays_no_part(make_group):
    texts = [coded("print(1 + 1)", "2"), coded("print(1 + 1)", "3"), coded("print((3, 9))", "3")]
    group = make_group(["2", "3", "3"], completions=texts)
    places = [2, 0, 1]
    moved = Group(
        prompt_id=group.prompt_id,
        prompt=group.prompt,
        rollouts=tuple(group.rollouts[i] for i in places),
    )
    weights = ProgramVotes()(group)
    assert weights == [9.0, 3.0, 3.0]  # 1 + 4 * 2 / 1, and 1 + 4 * 1 / 2
    assert ProgramVotes()(moved) == [weights[i] for i in places]


@pytest.mark.parametrize(
    ("output", "cluster"),
    [
        ("", None),
        ("4\n2\n", 0),
        ("2.0", 0),
        ("0.5", 1),
        ("3", None),  # nobody's answer
        ("(7, 2)", 0),  # one answer of the group among its parts
        ("(2, 0.5)", None),  # two
        ("the sum: 2", 0),
        ("9 8 2", 0),
        ("(1, 2)", 2),  # as a whole, before its parts
        ("\\boxed{1/2}", 1),
        ("(" * 200 + ")" * 200, None),
        ("2 " * 17, None),
    ],
)
def test_the_class_that_an_output_names(output, cluster):
    answers, clusters = ["2", r"\frac{1}{2}", None, "(1,2)"], [0, 1, None, 2]
    assert printed_classes([output], answers, clusters) == [cluster]


def test_outputs_that_nobody_can_read_end():
    hostile = random.Random(0)
    outputs = ["".join(hostile.choices("([{,:'2\\_^ \n", k=300)) for _ in range(64)]
    found = printed_classes(outputs, ["2", "3"], [0, 1])
    assert set(found) <= {None, 0}


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"program_votes\.omega: got .*at least 1"):
        get_reward("weighted_vote", by={"program_votes": {"omega": 0.5}})
