"""SCOPE's subgroups and their labels; small cases by hand."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from rewards.scope import Scope, choose_size, measure, subgroup_labels
from rl.answers import cluster_answers
from rl.errors import InputError
from rl.types import Group, Rollout


def make_group(answers: list[str | None], visit: str = "0-0") -> Group:
    rollouts = (
        Rollout(completion=f"{i} {answer}", answer=answer, cluster=cluster)
        for i, (answer, cluster) in enumerate(zip(answers, cluster_answers(answers), strict=True))
    )
    return Group(prompt_id="p", prompt="1+1=", visit=visit, rollouts=tuple(rollouts))


def test_degenerate_groups():
    scope = Scope(by="equal")
    assert scope(make_group([])) == []
    assert scope(make_group(["2"])) == [1.0]
    assert scope(make_group([None] * 4)) == [None] * 4
    assert scope(make_group(["2"] * 8)) == [1.0] * 8
    assert Scope()(make_group(["2"] * 4)) == [None] * 4  # no statistics: no vote weighs anything
    assert Scope(by="equal", votes_share=1.0)(make_group(["2", "2", "3"])) == [1.0, 1.0, 0.0]


def test_when_all_vote_every_label_is_the_majority():
    # Each size has the same quality and one label, so the smallest is chosen: it plays no part.
    answers = ["2"] * 5 + ["3"] * 3
    assert Scope(by="equal", votes_share=1.0)(make_group(answers)) == [1.0] * 5 + [0.0] * 3


def test_a_label_for_each_subgroup():
    pool = [(0, 1.0), (0, 1.0), (1, 1.0), (1, 1.0)]
    labels = subgroup_labels(pool, 2, 1, random.Random(0))
    assert labels[0] == labels[1]
    assert labels[2] == labels[3]
    assert subgroup_labels(pool, 4, 4, random.Random(0)) in ([0] * 4, [1] * 4)
    assert subgroup_labels([(0, 1.0), (1, 2.0)], 2, 2, random.Random(0)) == [1, 1]  # weights decide
    assert subgroup_labels([(None, 1.0), (0, None)], 1, 2, random.Random(0)) == [None, None]


def test_quality_and_exploration():
    pool = [(0, 1.0), (1, 1.0), (0, 1.0), (None, 1.0)]
    assert measure(pool, [0, 0, 0, 0]) == (0.5, 1)
    assert measure(pool, [0, 1, 0, None]) == (0.75, 3)  # a label that is missing is one more


def test_size_by_quality_and_exploration():
    # Scaled: size 1 (0, 1), size 2 (0.75, 0.5), size 4 (1, 0).
    measured = {1: (0.4, 3), 2: (0.7, 2), 4: (0.8, 1)}
    # lambda 0.7: sqrt(0.7), sqrt(0.7/16 + 0.3/4) = 0.345, sqrt(0.3).
    assert choose_size(measured, 0.7) == 2
    assert choose_size(measured, 1.0) == 4
    assert choose_size(measured, 0.0) == 1
    # What another size beats in both is out, even where it would be chosen.
    assert choose_size({1: (0.5, 2), 2: (0.4, 2), 4: (0.5, 1)}, 0.5) == 1
    assert choose_size({1: (0.5, 1), 2: (0.5, 1)}, 0.7) == 1


def test_rare_answers_are_paid_now_and_then():
    # A label by one random vote of 8: 2 with probability 6/8, in subgroups drawn anew each visit.
    scope = Scope(by="equal", votes_share=0.125, lam=0.0)
    paid = Counter()
    for visit in range(200):
        scores = scope(make_group(["2"] * 6 + ["3"] * 2, visit=str(visit)))
        paid["2"] += sum(scores[:6])
        paid["3"] += sum(scores[6:])
    assert 0.65 < paid["2"] / 1200 < 0.85
    assert 0.15 < paid["3"] / 400 < 0.35


def test_order_of_rollouts_plays_no_part():
    group = make_group(["2"] * 5 + ["3"] * 2 + ["4"])
    turned = replace(group, rollouts=group.rollouts[::-1])
    assert Scope(by="equal")(turned) == Scope(by="equal")(group)[::-1]


def test_vote_and_explanation():
    group, scope = make_group(["2"] * 6 + ["3"] * 2), Scope(by="equal", votes_share=0.125, lam=0.0)
    found = scope.vote(group)
    assert (found.pseudo_label, found.vote.majority_ratio) == ("2", 0.75)
    assert [float(paid) for paid in found.selected] == scope(group)
    assert scope.explain(group)[0].keys() == {"vote_weight", "subgroup_label"}


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"Scope.votes_share: got 0, expected"):
        Scope(votes_share=0)
