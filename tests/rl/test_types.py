"""What a reward can see: no label, and nothing it could change."""

from dataclasses import FrozenInstanceError, fields

import pytest

from rl.types import Group, Rollout

ROLLOUT = Rollout(completion="2", answer="2", cluster=0, num_tokens=2)
GROUP = Group(prompt_id="p", prompt="1+1=", rollouts=(ROLLOUT,))
LABEL_WORDS = {"label", "gold", "golden", "truth", "target", "reference", "solution", "correct"}


@pytest.mark.parametrize("kind", [Group, Rollout])
def test_no_field_could_hold_a_label(kind):
    names = [field.name for field in fields(kind)]
    assert not [name for name in names if LABEL_WORDS & set(name.lower().split("_"))]


@pytest.mark.parametrize("part", [GROUP, ROLLOUT])
def test_no_label_can_be_attached(part):
    with pytest.raises(TypeError, match="label"):
        type(part)(**{field.name: getattr(part, field.name) for field in fields(part)}, label="2")
    with pytest.raises(FrozenInstanceError):
        part.label = "2"


def test_a_reward_cannot_change_what_it_sees():
    with pytest.raises(FrozenInstanceError):
        setattr(ROLLOUT, "answer", "3")  # noqa: B010
    with pytest.raises(FrozenInstanceError):
        setattr(GROUP, "rollouts", ())  # noqa: B010


def test_rollouts_become_a_tuple():
    rollouts = [ROLLOUT, ROLLOUT]
    group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)  # type: ignore[arg-type]
    rollouts.clear()
    assert group.rollouts == (ROLLOUT, ROLLOUT)
    assert Group(prompt_id="p", prompt="1+1=", rollouts=[]).rollouts == ()  # type: ignore[arg-type]
