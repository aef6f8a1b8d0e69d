"""Counting votes; every number by hand."""

import pytest

from rl.answers.votes import Vote, count_votes, rank_classes
from rl.errors import InputError


@pytest.mark.parametrize("tie", ["first", "drop"])
def test_degenerate_groups(tie):
    nobody = Vote(
        winner=None, majority_ratio=0.0, num_votes=0, num_abstained=0, counts={}, is_tie=False
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


def test_classes_are_ranked_and_shown_by_their_first_answer():
    # 7 and one half have two votes each, 7 came first; 3 has three.
    answers = ["7", "1/2", None, "3", "0.5", "7", "3", "3"]
    clusters = [0, 1, None, 2, 1, 0, 2, 2]
    ranked = rank_classes(answers, clusters, count_votes(clusters))
    found = [(c.cluster, c.answer, c.count) for c in ranked]
    assert found == [(2, "3", 3), (0, "7", 2), (1, "1/2", 2)]
    assert rank_classes([None], [None], count_votes([None])) == []
