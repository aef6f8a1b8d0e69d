from itertools import combinations

import pytest

from rl.evaluation.metrics.estimators import avg_at_n, g_pass_at_k, maj_at_k, pass_at_k, pass_hat_k


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


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (4, 1, 2, 0.0),  # one right sample makes no pair
        (4, 3, 1, 0.75),  # pass^1 is the share of right samples
        (4, 3, 2, 0.5),  # C(3,2)/C(4,2) = 3/6
        (5, 4, 3, 0.4),  # C(4,3)/C(5,3) = 4/10
        (4, 4, 4, 1.0),
    ],
)
def test_pass_hat_k(num_samples, num_correct, k, expected):
    assert pass_hat_k(num_samples, num_correct, k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "threshold", "expected"),
    [
        (4, 0, 2, 0.5, 0.0),
        (4, 4, 2, 1.0, 1.0),
        (4, 2, 2, 1.0, 1 / 6),  # one of six pairs is all right
        (4, 2, 2, 0.5, 5 / 6),  # one of six has no right sample
        # 6 choose 4 = 15 draws; at least 3 of 4 right (0.6 * 4 = 2.4): C(4,4) + C(4,3) C(2,1) = 9
        (6, 4, 4, 0.6, 9 / 15),
        # 0.1 * 30 is 3.0000000000000004 in floats, and still means 3 of 30.
        (30, 3, 30, 0.1, 1.0),
    ],
)
def test_g_pass_at_k(num_samples, num_correct, k, threshold, expected):
    found = g_pass_at_k(num_samples, num_correct, k, threshold)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("num_correct", [0, 1, 5, 8])
def test_g_pass_lies_between_pass_at_k_and_pass_hat_k(num_correct, k):
    whole, any_one = pass_hat_k(8, num_correct, k), pass_at_k(8, num_correct, k)
    assert g_pass_at_k(8, num_correct, k, 1.0) == pytest.approx(whole, abs=1e-12)
    assert g_pass_at_k(8, num_correct, k, 1 / k) == pytest.approx(any_one, abs=1e-12)
    assert whole - 1e-12 <= g_pass_at_k(8, num_correct, k, 0.5) <= any_one + 1e-12


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(ValueError, match=f"threshold: got {threshold}, expected above 0"):
        g_pass_at_k(4, 2, 2, threshold)


@pytest.mark.parametrize(("num_correct", "k"), [(5, 1), (-1, 1), (2, 5), (2, 0)])
def test_other_estimators_refuse_what_pass_at_k_refuses(num_correct, k):
    with pytest.raises(ValueError, match="expected between"):
        pass_hat_k(4, num_correct, k)
    with pytest.raises(ValueError, match="expected between"):
        g_pass_at_k(4, num_correct, k, 0.5)
