"""The share of repeated n-grams, counted by hand."""

import time

import pytest

from rl.answers.repetition import repeated_ngram_share


@pytest.mark.parametrize(
    ("text", "length", "share"),
    [
        ("", 2, 0.0),
        ("a", 2, 0.0),
        ("a a", 2, 0.0),  # one 2-gram
        ("a a a", 2, 0.5),  # aa, aa
        ("a b c d", 2, 0.0),
        ("a b a b a b", 2, 0.6),  # ab ba ab ba ab: 2 distinct of 5
        ("a\nb  a\tb a b", 2, 0.6),  # whitespace does not matter
        ("x+x+x", 1, 0.6),  # x + x + x: signs are pieces
        ("a a b b", 1, 0.5),
        ("{}{}{}", 2, 0.6),
        ("\x00\ud83d", 1, 0.0),
    ],
)
def test_share_of_repeated_ngrams(text, length, share):
    assert repeated_ngram_share(text, length) == pytest.approx(share)


def test_a_loop_of_lines_is_found_with_the_default_length():
    line = " ".join(f"word{i}" for i in range(25))
    assert repeated_ngram_share(line) == 0.0
    # 250 pieces have 231 20-grams; of the cycle of 25, 25 are distinct.
    assert repeated_ngram_share(" ".join([line] * 10)) == pytest.approx(1 - 25 / 231)


@pytest.mark.parametrize("text", ["a" * 1_000_000, "{" * 1_000_000, "a b " * 250_000])
def test_a_megabyte_does_not_hang(text):
    started = time.perf_counter()
    assert 0.0 <= repeated_ngram_share(text) < 1.0
    assert time.perf_counter() - started < 5.0
