"""Self-Harmony's label: the largest harmonic mean over the wordings. Numbers by hand."""

import pytest

from rewards.harmonic_vote import HarmonicVote, harmonic_label


def test_nothing_to_choose_from():
    assert harmonic_label([]) == (None, False)
    assert harmonic_label([[], []]) == (None, False)
    assert harmonic_label([[None], [None, None]]) == (None, False)


def test_one_view_is_a_majority_vote():
    assert harmonic_label([[0, 1, 1, None]]) == (1, False)


def test_an_answer_of_one_view_alone_is_no_label():
    assert harmonic_label([[0, 0, 0], [1, 1, 1]]) == (None, False)
    assert harmonic_label([[0, 0, 0, 2], [1, 1, 1, 2]]) == (2, False)


def test_what_holds_in_both_beats_what_is_most_common_in_one():
    # Of 8 and 8: answer 0 has 6 and 1, 2 x 6 x 1 / (8 x 7) = 0.214; answer 1 has 2 and 3,
    # 2 x 2 x 3 / (8 x 5) = 0.3. Together 0 has 7 votes and 1 has 5.
    views = [[0] * 6 + [1] * 2, [1] * 3 + [0] + [2] * 4]
    assert harmonic_label(views) == (1, False)


def test_three_views():
    # 3 / (1/p + 1/q + 1/r). Answer 0: shares 3/4, 1/4, 1/4 -> 3 / (4/3 + 4 + 4) = 0.321.
    # Answer 1: 1/4, 2/4, 2/4 -> 3 / (4 + 2 + 2) = 0.375.
    views = [[0, 0, 0, 1], [0, 1, 1, 2], [0, 1, 1, None]]
    assert harmonic_label(views) == (1, False)


def test_shares_not_counts():
    # Answer 0 has 2 of 4 and 2 of 8: 2 / (2 + 4) = 1/3; answer 1 has 1 of 4 and 6 of 8,
    # 2 / (4 + 4/3) = 3/8. Of counts 0 would have 2 x 2 x 2 / 4 = 2, and 1 12 / 7.
    assert harmonic_label([[0, 0, 1, 2], [0, 0, 1, 1, 1, 1, 1, 1]]) == (1, False)
    # Votes that do not answer count: 1 of 4, not of 1.
    assert harmonic_label([[0, None, None, None], [0, 1]]) == (0, False)


def test_ties():
    # Both answers have 1 and 1: the one that appears first.
    assert harmonic_label([[1, 0], [0, 1]]) == (1, True)
    assert harmonic_label([[1, 0], [0, 1]], "drop") == (None, True)
    # Of 12 each: 3 and 6 have 2 / (4 + 2) = 1/3, and so have 4 and 4 (1/3, 1/3): 9 votes beat 8.
    views = [[1] * 4 + [0] * 3 + [None] * 5, [1] * 4 + [0] * 6 + [None] * 2]
    assert harmonic_label(views) == (0, True)


def test_all_wordings_are_paid_for_one_label(make_views):
    original, paraphrase = make_views(["2", "2", "2", "3", None], ["5", "3", "3.0", "2", "5"])
    # 2: 3/5, 1/5 -> 2 / (5/3 + 5) = 0.3; 3: 1/5, 2/5 -> 2 / (5 + 5/2) = 0.267.
    assert HarmonicVote()(original) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert HarmonicVote()(paraphrase) == [0.0, 0.0, 0.0, 1.0, 0.0]
    found = HarmonicVote().vote(paraphrase)
    assert (found.pseudo_label, found.vote.winner) == ("2", 2)
    assert found.vote.majority_ratio == pytest.approx(2 / 5)  # its own


def test_a_tie_is_broken_alike_in_all_wordings(make_views):
    original, paraphrase = make_views(["2", "3"], ["3", "2"])
    assert HarmonicVote()(original) == [1.0, 0.0]
    assert HarmonicVote()(paraphrase) == [0.0, 1.0]


def test_no_common_answer_scores_nobody(make_views):
    for group in make_views(["2", "2"], ["3", None]):
        assert HarmonicVote()(group) == [None, None]


def published(own, other):
    """`harmonic_mean_score` of the code for strings, or "" where it finds none."""
    scores = {
        answer: (own.count(answer) * other.count(answer))
        / (own.count(answer) + other.count(answer))
        / 4
        for answer in {*own, *other} - {""}
        if own.count(answer) and other.count(answer)
    }
    return max(scores, key=lambda answer: (scores[answer], own.count(answer) + other.count(answer)))


def test_agrees_with_the_published_score(make_views):
    own = ["4", "6", "4", "", "9", "6", "6", "4"]
    other = ["6", "9", "4", "9", "", "9", "1", "6"]
    original, _ = make_views(*([answer or None for answer in view] for view in (own, other)))
    # 6: 3 x 2 / 5 = 1.2; 4: 3 x 1 / 4; 9: 1 x 3 / 4.
    assert published(own, other) == "6"
    assert HarmonicVote().vote(original).pseudo_label == "6"
