"""Votes weighed by the completions' own code, counted by hand."""

import pytest

from rewards import get_reward
from rewards.own_code import OwnCode
from rl.errors import InputError


def coded(program, answer):
    return f"Let me compute.\n```python\n{program}\n```\n\\boxed{{{answer}}}"


@pytest.mark.parametrize("answers", [[], [None]])
def test_degenerate_groups(make_group, answers):
    group = make_group(answers)
    assert OwnCode()(group) == [1.0] * len(answers)


def test_a_confirmed_vote_counts_omega(make_group):
    texts = [
        coded("print(1 + 1)", "2"),
        coded("print(1 + 1)", "3"),  # says something else
        coded("print(", "2"),  # does not run
        r"\boxed{2}",  # has none
        coded("a = 1\n```\nso\n```python\nprint(a + 1)", "2"),  # in two cells
        coded("print(2)", "2") + " ```",
    ]
    group = make_group(["2", "3", "2", "2", "2", None], completions=texts)
    assert OwnCode(omega=4.0)(group) == [4.0, 1.0, 1.0, 1.0, 4.0, 1.0]
    metrics = OwnCode().group_metrics(group)
    # Of six, the last of which has no answer to confirm, so that its program is not run.
    assert metrics["verified_frac"] == 2 / 6
    assert (metrics["program_frac"], metrics["refuted_frac"], metrics["failed_frac"]) == (
        4 / 6,
        1 / 4,
        1 / 4,
    )


def test_a_confirmed_minority_wins_the_weighted_vote(make_group):
    answers = ["3", "3", "3", "2"]
    texts = [*[r"\boxed{3}"] * 3, coded("print(1 + 1)", "2")]
    group = make_group(answers, completions=texts)
    vote = get_reward("weighted_vote", by={"own_code": {"omega": 5}})
    assert vote(group) == [0.0, 0.0, 0.0, 1.0]  # 3 against 5
    assert vote.group_metrics(group)["verified_frac"] == 0.25  # type: ignore[attr-defined]
    even = get_reward("weighted_vote", by={"own_code": {"omega": 3}})
    assert even(group) == [1.0, 1.0, 1.0, 0.0]  # 3 against 3: the first
    plain = get_reward("weighted_vote", by={"own_code": {"omega": 1}})
    assert plain(group) == [1.0, 1.0, 1.0, 0.0]
    assert get_reward("weighted_vote", by="equal").group_metrics(group) == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"omega": -1}, "at least 1"),
        ({"omega": 0.5}, "at least 1"),
        ({"omega": float("inf")}, "a finite number"),
        ({"max_seconds": 0}, "above 0"),
        ({"max_group_seconds": -3}, "above 0"),
    ],
)
def test_settings_are_checked(settings, rule):
    with pytest.raises(InputError, match=rf"own_code\.{next(iter(settings))}: got .*{rule}"):
        get_reward("weighted_vote", by={"own_code": settings})
