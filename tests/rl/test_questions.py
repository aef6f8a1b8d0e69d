"""What a reward may ask, and what a group knows of it."""

from dataclasses import replace

import pytest

from rl.errors import InputError
from rl.questions import Answered, Asked, Question, checked_questions

CHAT = {"role": "user", "content": "2?"}
REPLY = Answered(completion="yes", num_tokens=2, truncated=False)


def test_a_group_knows_what_was_asked(make_group):
    group = make_group(["2"])
    assert group.replies("a") is None
    asked = [
        Asked(key="a", prompt="2?", replies=(REPLY,)),
        Asked(key="long", prompt="2" * 99, replies=()),
    ]
    group = replace(group, asked=asked)
    assert group.replies("a") == (REPLY,)
    assert group.replies("long") == ()
    assert group.replies("b") is None
    assert isinstance(group.asked, tuple)


def test_questions_are_let_through():
    questions = [Question(key="a", prompt="2?"), Question(key="b", prompt=[CHAT])]
    assert checked_questions("mine", questions) == questions
    assert checked_questions("mine", tuple(questions)) == questions
    assert checked_questions("mine", []) == []


@pytest.mark.parametrize(
    "given",
    [
        None,
        "2?",
        ["2?"],
        [Question(key="a", prompt="")],
        [Question(key="a", prompt=[])],
        [Question(key="a", prompt=[{"role": "user"}])],
        [Question(key="a", prompt=["2?"])],  # type: ignore[list-item]
        [Question(key=1, prompt="2?")],  # type: ignore[arg-type]
        [Question(key="a", prompt="2?", num_samples=0)],
        [Question(key="a", prompt="2?", max_tokens=0)],
        [Question(key="a", prompt="2?"), Question(key="a", prompt="3?")],
    ],
)
def test_what_is_no_question_is_one_line(given):
    with pytest.raises(InputError, match=r"^mine: got .*, expected .*Mend its method `questions`."):
        checked_questions("mine", given)
