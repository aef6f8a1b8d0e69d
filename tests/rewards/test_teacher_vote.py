"""Co-rewarding-II's reward: what the teacher's completions agree on. Numbers by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from rewards.teacher_vote import TeacherVote


@pytest.fixture
def taught(make_views):
    """Build a group and its teacher's from their answers."""

    def make(answers, theirs):
        own = make_views(answers, theirs)[0]
        return replace(own, views=(), teacher=own.views[0])

    return make


def test_without_a_teacher_nothing_is_scored(make_group):
    assert TeacherVote()(make_group(["2", "2"])) == [None, None]
    assert TeacherVote()(make_group([])) == []


def test_a_silent_teacher_scores_nobody(taught):
    assert TeacherVote()(taught(["2", "3"], [None, None])) == [None, None]
    assert TeacherVote()(taught(["2", "3"], [])) == [None, None]


def test_the_teacher_decides_not_the_group(taught):
    group = taught(["2", "2", "3", None], ["3.0", "3", "2", None])
    assert TeacherVote()(group) == [0.0, 0.0, 1.0, 0.0]
    found = TeacherVote().vote(group)
    assert (found.pseudo_label, found.vote.num_votes) == ("3.0", 4)
    assert found.vote.majority_ratio == 0.5


def test_an_answer_the_group_does_not_give_pays_nobody(taught):
    assert TeacherVote()(taught(["2", "3"], ["7"])) == [0.0, 0.0]


@pytest.mark.parametrize(("tie", "expected"), [("first", [0.0, 1.0]), ("drop", [None, None])])
def test_ties(taught, tie, expected):
    assert TeacherVote(tie=tie)(taught(["2", "3"], ["3", "2"])) == expected


def test_agrees_with_the_published_rule(taught):
    own, theirs = ["4", "6", "4", "", "9", "6"], ["6", "9", "4", "9", "", "9", "1"]
    # co_rewarding_II.py: the most common of the teacher's strings that are not empty.
    label = Counter(answer for answer in theirs if answer).most_common(1)[0][0]
    group = taught([answer or None for answer in own], [answer or None for answer in theirs])
    assert TeacherVote()(group) == [float(answer == label) for answer in own]
