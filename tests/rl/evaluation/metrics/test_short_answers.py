"""Numbers are derived by hand from the definitions of HotpotQA's and MuSiQue's scripts."""

import pytest

from rl.evaluation.metrics.short_answers import (
    cover_match,
    exact_match,
    normalize_answer,
    token_f1,
)


@pytest.mark.parametrize(
    ("answer", "accepted", "exact", "cover", "f1"),
    [
        (None, ["Paris"], False, False, 0.0),
        ("Paris", [], False, False, 0.0),
        ("", ["Paris"], False, False, 0.0),
        ("The", ["Paris"], False, False, 0.0),  # only an article: nothing is left
        ("...", ["The a"], True, False, 1.0),  # nothing equals nothing, and contains nothing
        ("Paris", ["The"], False, False, 0.0),
        ("the PARIS.", ["Paris"], True, True, 1.0),
        # 1 word in common of 3 and 1: 2 * 1 / 4.
        ("Paris in France", ["Paris"], False, True, 0.5),
        # One direction alone: the answer has to contain what is accepted. 2 * 1 / 3.
        ("Paris", ["Paris France"], False, False, 2 / 3),
        # ny and york are other words; 1 in common (new) of 2 and 3: 2 / 5.
        ("New York", ["a new NY time"], False, False, 2 / 5),
        # Words count as often as they stand: min(2, 1) in common of 3 and 2: 2 * 1 / 5.
        ("x x y", ["x z"], False, False, 0.4),
        # Yes, no and noanswer share nothing with what they do not equal, on either side.
        ("yes it is", ["yes"], False, True, 0.0),
        ("no", ["no one"], False, False, 0.0),
        ("No.", ["no"], True, True, 1.0),
        # Characters, not words.
        ("16", ["6"], False, True, 0.0),
        # The best of several: exact with the second, though the first shares 1 of 2 and 2.
        ("K. Holm", ["Kai Holm", "K Holm"], True, True, 1.0),
        ("Jo Holm", ["Kai Holm", "Jo Karl Maria Holm"], False, False, 2 * 2 / 6),
    ],
)
def test_an_answer_against_the_accepted_ones(answer, accepted, exact, cover, f1):
    assert exact_match(answer, accepted) is exact
    assert cover_match(answer, accepted) is cover
    assert token_f1(answer, accepted) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("", ""),
        ("A an THE", ""),
        ("Theatre", "theatre"),  # not an article
        ("state-of-the-art", "stateoftheart"),  # punctuation goes first, so no article is left
        ("  U.S.\t Army's\n", "us armys"),
        ("Beyonc\u00e9\u2019s", "beyonc\u00e9\u2019s"),  # only ASCII's punctuation
    ],
)
def test_normalisation(text, normalized):
    assert normalize_answer(text) == normalized
