from itertools import combinations

import pytest

from rl.evaluation.metrics import avg_at_n, bootstrap_intervals, maj_at_k, pass_at_k


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (4, 0, 4, 0.0),
        (4, 4, 1, 1.0),
        (4, 3, 2, 1.0),  # one sample is wrong, so no pair is wrong altogether
        (4, 1, 1, 0.25),  # pass@1 is the share of correct samples
        (4, 1, 2, 0.5),  # C(3,2)/C(4,2) = 3/6 of the pairs are wrong
        (5, 2, 3, 0.9),  # C(3,3)/C(5,3) = 1/10
        (16, 1, 16, 1.0),
    ],
)
def test_pass_at_k(num_samples, num_correct, k, expected):
    assert pass_at_k(num_samples, num_correct, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_does_not_overflow_or_lose_small_numbers():
    # One correct sample of n is in a draw of k with probability k/n.
    assert pass_at_k(100_000, 1, 10) == pytest.approx(1e-4, rel=1e-9)


@pytest.mark.parametrize("k", [0, -1, 5])
def test_a_draw_larger_than_the_samples_is_refused(k):
    with pytest.raises(ValueError, match=f"k: got {k}, expected between 1 and .* \\(4\\)"):
        pass_at_k(4, 2, k)
    with pytest.raises(ValueError, match=f"k: got {k}, expected between 1 and .* \\(4\\)"):
        maj_at_k([3], [0], 1, k)


@pytest.mark.parametrize("num_correct", [-1, 5])
def test_more_correct_samples_than_samples_are_refused(num_correct):
    with pytest.raises(ValueError, match=f"got {num_correct} of 4 samples"):
        pass_at_k(4, num_correct, 1)
    with pytest.raises(ValueError, match=f"got {num_correct} of 4 samples"):
        avg_at_n(4, num_correct)


def test_avg_at_n_is_the_share_of_correct_samples():
    assert [avg_at_n(4, c) for c in (0, 1, 4)] == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("counts", "correct", "num_abstained", "k", "expected"),
    [
        ([1], [0], 0, 1, 1.0),
        ([1], [], 0, 1, 0.0),
        ([4], [0], 0, 3, 1.0),
        ([], [], 4, 2, 0.0),  # nobody answered
        ([2, 2], [0], 0, 4, 0.5),  # a tie of all is split evenly
        ([1, 1, 1], [2], 0, 3, 1 / 3),
        ([3, 1], [1], 0, 4, 0.0),  # the vote of all is certain
        ([1, 0], [0], 3, 4, 1.0),  # one vote beats three samples without an answer
        ([1], [0], 3, 1, 0.25),  # only "no answer" is drawn: wrong
        ([1, 3], [0], 0, 1, 0.25),  # maj@1 is the share of correct samples
        # {A,A,B}: AA won by A, AB twice a tie: (1 + 1/2 + 1/2) / 3
        ([2, 1], [0], 0, 2, 2 / 3),
        # {A,A,B,none}, pairs: AA 1; AB 2 x 1/2; A-none 2 x 1; B-none 0: 4/6
        ([2, 1], [0], 1, 2, 4 / 6),
        # {A,A,B,B,C}, triples: AAB 2, AAC 1 won by A; BBA 2, BBC 1 by B; ABC 4 a tie of three
        ([2, 2, 1], [0], 0, 3, (3 + 4 / 3) / 10),
        ([2, 2, 1], [0, 1], 0, 3, (6 + 8 / 3) / 10),  # either of two classes may win
    ],
)
def test_maj_at_k(counts, correct, num_abstained, k, expected):
    assert maj_at_k(counts, correct, num_abstained, k) == pytest.approx(expected, abs=1e-12)


def count_subsets(counts, correct, num_abstained, k):
    samples = [i for i, count in enumerate(counts) for _ in range(count)] + [None] * num_abstained
    wins, subsets = 0.0, list(combinations(samples, k))
    for subset in subsets:
        votes = {c: subset.count(c) for c in subset if c is not None}
        first = [c for c in votes if votes[c] == max(votes.values())]
        wins += sum(c in correct for c in first) / len(first) if first else 0.0
    return wins / len(subsets)


@pytest.mark.parametrize("k", range(1, 11))
@pytest.mark.parametrize("counts", [[5, 3], [3, 3, 2], [1, 2, 2, 3], [2, 2, 2, 2], [1] * 8])
def test_maj_at_k_equals_the_count_over_all_subsets(counts, k):
    for correct in ([0], [1], [0, 1]):
        expected = count_subsets(counts, correct, 2, k)
        assert maj_at_k(counts, correct, 2, k) == pytest.approx(expected, abs=1e-12)


def test_some_class_wins_unless_nobody_answers():
    # Of 12 samples 4 abstain; C(4,3)/C(12,3) = 4/220 of the triples have no answer.
    counts = [4, 3, 1]
    assert sum(maj_at_k(counts, [i], 4, 3) for i in range(3)) == pytest.approx(1 - 4 / 220)


def test_the_interval_of_equal_values_is_the_value():
    assert bootstrap_intervals([[0.25, 2.0]]) == [(0.25, 0.25), (2.0, 2.0)]
    assert bootstrap_intervals([[0.5]] * 3) == [(0.5, 0.5)]


def test_the_interval_is_that_of_the_binomial_for_each_metric():
    # The mean of 100 resampled zeros and ones with p = 0.5 is Binomial(100, 0.5) / 100, whose 2.5%
    # and 97.5% quantiles are 0.40 and 0.60; one step of 0.01 is sampling error.
    first, second = bootstrap_intervals([[0.0, 10.0], [1.0, 12.0]] * 50)
    assert first == pytest.approx((0.40, 0.60), abs=0.0101)
    assert second == pytest.approx((10.80, 11.20), abs=0.0201)


def test_the_interval_depends_on_the_seed_alone():
    rows = [[0.0], [1.0], [0.3]] * 9
    assert bootstrap_intervals(rows) == bootstrap_intervals(rows)
    assert bootstrap_intervals(rows) != bootstrap_intervals(rows, seed=1)
