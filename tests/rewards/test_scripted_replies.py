"""Stand-ins for a policy's replies: the same question gets the same, whoever asks."""

import pickle

import pytest

from rewards.reflected_vote import ReflectedVote
from rewards.scripted_replies import REPLIES, Scripted, with_scripted_replies
from rl.errors import InputError
from rl.questions import Question


class Endless:
    def questions(self, group):
        return [Question(key=str(len(group.asked)), prompt="more?")]


class Wide:
    """Asks much in one round, and pays nothing."""

    def questions(self, group):
        return [Question(key=str(i), prompt=f"{i}?", num_samples=4) for i in range(30)]

    def __call__(self, group):
        return [0.0 for _ in group.rollouts]


def test_every_reply_comes_up(make_group):
    asked = with_scripted_replies(Wide(), make_group(["2"])).asked
    assert len(asked) == 30
    assert {reply.completion for one in asked for reply in one.replies} == set(REPLIES)


def test_what_a_group_holds_is_not_asked_again(make_group):
    group = with_scripted_replies(Wide(), make_group(["2"]))
    assert with_scripted_replies(Wide(), group) is group


def test_who_never_ends_is_told_so(make_group):
    with pytest.raises(InputError, match="got new questions after 8 rounds"):
        with_scripted_replies(Endless(), make_group(["2"]))


def test_all_that_takes_a_group_sees_the_replies(make_group):
    reward = Scripted(ReflectedVote(num_reflections=9))
    group = make_group(["2", "3", "2", None])
    paid = reward(group)
    assert None not in paid
    assert [float(selected) for selected in reward.vote(group).selected] == paid
    assert sum(part["picks"] for part in reward.explain(group)[:2]) > 0
    assert not hasattr(reward, "questions")
    assert not hasattr(reward, "observe")
    assert pickle.loads(pickle.dumps(reward))(group) == paid
