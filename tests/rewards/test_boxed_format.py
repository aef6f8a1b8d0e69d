"""Paid for an answer being there, whatever it says."""

import pytest

from rewards.boxed_format import boxed_format
from rl.groups.scoring import answer_groups
from rl.types import Group, Rollout


@pytest.mark.parametrize(
    ("answers", "rewards"),
    [
        ([], []),
        ([None], [0.0]),
        (["2"], [1.0]),
        ([None, None], [0.0, 0.0]),
        (["2", "2"], [1.0, 1.0]),
        (["2", None, "3", "2"], [1.0, 0.0, 1.0, 1.0]),
    ],
)
def test_an_answer_is_paid(make_group, answers, rewards):
    assert boxed_format(make_group(answers)) == rewards


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (r"so \boxed{2}", 1.0),
        (r"\boxed{wrong but boxed}", 1.0),
        (r"\boxed{}", 0.0),
        (r"\boxed{ }", 0.0),
        (r"\boxed{\frac{1}{2}", 0.0),  # never closed
        ("so 2", 0.0),
        ("", 0.0),
    ],
)
def test_with_box_only_extraction_it_is_a_filled_balanced_box(completion, reward):
    group = Group(prompt_id="p", prompt="", rollouts=(Rollout(completion=completion),))
    assert boxed_format(answer_groups([group], ["boxed"])[0]) == [reward]


def test_truncation_and_training_do_not_matter():
    rollouts = [
        Rollout(completion="2", answer="2", truncated=truncated, trained=trained)
        for truncated in (True, False)
        for trained in (True, False)
    ]
    assert boxed_format(Group(prompt_id="p", prompt="", rollouts=tuple(rollouts))) == [1.0] * 4
