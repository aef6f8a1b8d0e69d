"""Counting votes; every number by hand."""

import pytest

from rl.answers.votes import Vote, count_votes, rank_classes
from rl.errors import InputError


@pytest.mark.parametrize("tie", ["first", "drop"])
def test_degenerate_groups(tie):
    nobody = Vote(
        winner=None,
        majority_ratio=0.0,
        num_votes=0,
        num_abstained=0,
        counts={},
        weights={},
        is_tie=False,
    )
    assert count_votes([], tie) == nobody
    silent = count_votes([None, None], tie)
    assert (silent.winner, silent.majority_ratio, silent.num_abstained) == (None, 0.0, 2)
    single = count_votes([0], tie)
    assert (single.winner, single.majority_ratio, single.is_tie) == (0, 1.0, False)
    assert count_votes([0, 0, 0], tie).majority_ratio == 1.0


def test_completions_without_an_answer_stay_in_the_denominator():
    # 3 of 8 say cluster 1, 2 say cluster 0, 3 abstain: 3/8.
    vote = count_votes([0, 1, None, 1, None, 0, 1, None])
    assert vote.winner == 1
    assert vote.majority_ratio == 3 / 8
    assert (vote.num_votes, vote.num_abstained, vote.counts) == (8, 3, {0: 2, 1: 3})
    assert not vote.is_tie


def test_no_answer_cannot_win():
    assert count_votes([None, None, None, 0]).winner == 0


def test_tie_goes_to_the_first_in_the_group_or_to_nobody():
    # Two clusters with 2 of 4 votes each.
    for clusters, first in (([0, 1, 0, 1], 0), ([1, 0, 1, 0], 1), ([5, 2, 2, 5], 5)):
        vote = count_votes(clusters)
        assert (vote.winner, vote.majority_ratio, vote.is_tie) == (first, 0.5, True)
        dropped = count_votes(clusters, "drop")
        assert (dropped.winner, dropped.majority_ratio, dropped.is_tie) == (None, 0.5, True)


def test_tie_below_first_place_is_none():
    vote = count_votes([0, 0, 1, 2], "drop")
    assert (vote.winner, vote.is_tie) == (0, False)


def test_unknown_tie_rule():
    with pytest.raises(InputError, match=r"got 'last', expected one of drop, first"):
        count_votes([0], "last")


@pytest.mark.parametrize("tie", ["first", "drop"])
def test_degenerate_weights(tie):
    assert count_votes([], tie, weights=[]).winner is None
    # No answer weighs anything: nobody wins, though three voted and the silent one has weight.
    for weights in ([0.0] * 4, [None] * 4, [0.0, None, 0.0, 5.0]):
        vote = count_votes([0, 1, 1, None], tie, weights)
        assert (vote.winner, vote.majority_ratio, vote.is_tie) == (None, 0.0, False)
        assert (vote.counts, vote.weights, vote.num_abstained) == ({0: 1, 1: 2}, {0: 0, 1: 0}, 1)
    single = count_votes([0], tie, [0.25])
    assert (single.winner, single.majority_ratio) == (0, 1.0)


def test_weights_decide():
    # Class 0: 3; class 1: 1 + 0.5; the silent one 0.5; all 5. One that cannot be weighed counts 0.
    vote = count_votes([0, 1, 1, None, 1], weights=[3.0, 1.0, 0.5, 0.5, None])
    assert (vote.winner, vote.majority_ratio, vote.num_votes) == (0, 3 / 5, 5)
    assert (vote.counts, vote.weights) == ({0: 1, 1: 3}, {0: 3.0, 1: 1.5})
    equal, plain = count_votes([0, 1, 1], weights=[7.0] * 3), count_votes([0, 1, 1])
    assert (
        (equal.winner, equal.majority_ratio) == (plain.winner, plain.majority_ratio) == (1, 2 / 3)
    )


def test_weights_that_differ_by_rounding_are_tied():
    # 0.1 + 0.2 = 0.30000000000000004 in floating point.
    for clusters, first in (([0, 0, 1], 0), ([1, 0, 0], 1)):
        weights = [0.3 if c == 1 else w for c, w in zip(clusters, (0.1, 0.2, 0.2), strict=True)]
        if first == 1:
            weights = [0.3, 0.1, 0.2]
        vote = count_votes(clusters, weights=weights)
        assert (vote.winner, vote.is_tie) == (first, True)
        assert count_votes(clusters, "drop", weights).winner is None


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none(weight):
    with pytest.raises(InputError, match=r"weight of a vote: got .*, expected a finite number"):
        count_votes([0, 1], weights=[1.0, weight])


def test_heaviest_class_comes_first():
    clusters = [0, 1, 1]
    ranked = rank_classes(["a", "b", "b"], clusters, count_votes(clusters, weights=[3.0, 1.0, 1.0]))
    assert [(c.answer, c.count, c.weight) for c in ranked] == [("a", 1, 3.0), ("b", 2, 2.0)]


def test_classes_are_ranked_and_shown_by_their_first_answer():
    # 7 and one half have two votes each, 7 came first; 3 has three.
    answers = ["7", "1/2", None, "3", "0.5", "7", "3", "3"]
    clusters = [0, 1, None, 2, 1, 0, 2, 2]
    ranked = rank_classes(answers, clusters, count_votes(clusters))
    found = [(c.cluster, c.answer, c.count) for c in ranked]
    assert found == [(2, "3", 3), (0, "7", 2), (1, "1/2", 2)]
    assert rank_classes([None], [None], count_votes([None])) == []
