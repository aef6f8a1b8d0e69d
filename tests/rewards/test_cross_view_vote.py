"""Co-rewarding I's reward: what the other wordings agree on. Numbers by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from rewards.cross_view_vote import CrossViewVote


def test_without_a_sister_nothing_is_scored(make_views):
    [alone] = make_views(["2", "2"])
    assert CrossViewVote()(alone) == [None, None]
    assert CrossViewVote().vote(alone).pseudo_label is None


def test_a_silent_sister_gives_no_label_but_gets_one(make_views):
    original, paraphrase = make_views(["2", "2", None], [None, None, None])
    assert CrossViewVote()(original) == [None, None, None]
    assert CrossViewVote()(paraphrase) == [0.0, 0.0, 0.0]


def test_each_view_is_labelled_by_the_other(make_views):
    # The original votes 2, the paraphrase 3: each pays the other's majority.
    original, paraphrase = make_views(["2", "2", "3", None], ["3", "3.0", "2", "5"])
    assert CrossViewVote()(original) == [0.0, 0.0, 1.0, 0.0]
    assert CrossViewVote()(paraphrase) == [0.0, 0.0, 1.0, 0.0]
    assert CrossViewVote().vote(original).pseudo_label == "3"
    assert CrossViewVote().vote(paraphrase).pseudo_label == "2"


def test_a_label_nobody_gave_here_pays_nobody(make_views):
    original, _ = make_views(["2", "3"], ["7", "7"])
    assert CrossViewVote()(original) == [0.0, 0.0]


@pytest.mark.parametrize(("tie", "expected"), [("first", [0.0, 1.0]), ("drop", [None, None])])
def test_ties_of_the_sister(make_views, tie, expected):
    original, _ = make_views(["2", "3"], ["3", "2"])
    assert CrossViewVote(tie=tie)(original) == expected


def test_several_sisters_vote_together(make_views):
    # 5 leads each of the others but not both: 3 has 2 + 2 of 8, 5 has 2, 7 has 2.
    original, *_ = make_views(["3", "5"], ["5", "5", "3", "3"], ["7", "7", "3", "3"])
    assert CrossViewVote()(original) == [1.0, 0.0]


def reference(answers, sisters):
    """What co_reward.py pays, on answers that are equal where their strings are."""
    votes = Counter(answer for answer in sisters if answer)
    label = votes.most_common(1)[0][0] if votes else ""
    return [1.0 if answer == label and label else 0.0 for answer in answers]


def test_agrees_with_the_published_rule(make_views):
    views = (["4", "6", "4", "", "9", "6", "6"], ["6", "9", "4", "9", "", "9", "1"])
    groups = make_views(*([answer or None for answer in view] for view in views))
    for group, own, other in zip(groups, views, views[::-1], strict=True):
        assert CrossViewVote()(group) == reference(own, other)


def test_order_of_the_views_plays_no_part(make_views):
    original, *_ = make_views(["3", "5"], ["5", "5", "3"], ["7", "3", "5"])
    assert CrossViewVote()(replace(original, views=original.views[::-1])) == [0.0, 1.0]
