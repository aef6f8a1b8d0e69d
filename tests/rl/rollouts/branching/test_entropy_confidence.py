"""ECHO's forks, widths and pruning, by hand."""

import math

import pytest

from rl.errors import InputError
from rl.rollouts.branching.contract import Fork, TokenRow
from rl.rollouts.branching.entropy_confidence import EntropyConfidence, trailing_means

RULE = EntropyConfidence(
    min_depth=0,
    entropy_high=2.0,
    entropy_low=1.0,
    entropy_window=2,
    entropy_delta_threshold=0.5,
    group_window=2,
    branch_threshold=4.0,
)


def row(entropies, confidences=None, is_over=True):
    confidences = confidences or [2.0] * len(entropies)
    return TokenRow(entropies=entropies, confidences=confidences, is_over=is_over)


def test_trailing_means():
    assert trailing_means([], 3) == []
    assert trailing_means([1.0, 3.0, 5.0], 1) == [1.0, 3.0, 5.0]
    assert trailing_means([1.0, 3.0, 5.0, 1.0], 3) == [1.0, 2.0, 3.0, 3.0]


def test_it_forks_at_the_first_token_that_is_unsure_and_less_sure_than_before():
    # Token 2 is sure enough; 3 is not, but only 0.3 more than the two before; 4 is, by 0.8.
    # Width 1 + 2 (2.8 - 1) / 1 - (2 - 4) / 4 = 5.1, of 4 at most; the root is one of them.
    entropies = [0.0, 1.7, 1.9, 2.1, 2.8, 2.9, 0.0]
    assert RULE.forks(row(entropies)) == [Fork(position=4, num_branches=3)]


@pytest.mark.parametrize(
    ("entropies", "confidences", "is_over"),
    [
        ([2.5], None, False),  # one token: it has risen from nothing before
        ([0.0, 2.5], None, True),  # the end
        ([0.0, 1.9, 0.0], None, True),  # not unsure
        ([2.5, 2.5, 2.5, 0.0], None, True),  # no rise
        # The mean of 9 and 2 is above 4: the last tokens were sure, however unsure this one is.
        ([0.0, 2.5, 0.0], [9.0, 2.0, 9.0], True),
    ],
)
def test_it_does_not_fork(entropies, confidences, is_over):
    assert RULE.forks(row(entropies, confidences, is_over)) == []


def test_the_least_depth():
    entropies = [0.0, 2.5, 0.0, 0.0, 2.5, 0.0]
    late = EntropyConfidence(min_depth=2, entropy_high=2.0)
    assert RULE.forks(row(entropies))[0].position == 1
    assert late.forks(row(entropies))[0].position == 4
    # A completion that is shorter than that is left at its last token, unless it ended there.
    far = EntropyConfidence(min_depth=9, entropy_high=2.0)
    assert far.forks(row([0.0, 2.5])) == []
    assert far.forks(row([0.0, 2.5], is_over=False))[0].position == 1


@pytest.mark.parametrize(
    ("entropy", "confidence", "expected"),
    [
        # 1 + 2 (H - 1) / (3.5 - 1) - (C - 3) / 3
        (3.5, 3.0, 3),
        (3.5, 1.5, 4),  # 3.5, to the even number
        (3.5, 6.0, 2),
        (1.0, 3.0, 1),
        (0.0, 9.0, 1),  # -1.8, cut off
        (9.0, 1.6, 4),  # 7.9, cut off
    ],
)
def test_widths(entropy, confidence, expected):
    assert EntropyConfidence().width(entropy, confidence) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_branches": 8}, r"min_branches: got 8, expected at most max_branches \(4\)"),
        ({"entropy_low": 3.5}, r"entropy_low: got 3.5, expected less than entropy_high \(3.5\)"),
    ],
)
def test_limits_that_contradict_each_other(settings, message):
    with pytest.raises(InputError, match=message):
        EntropyConfidence(**settings)


def test_a_width_of_one_is_no_fork():
    rule = EntropyConfidence(min_depth=0, entropy_high=1.0, entropy_low=0.0, alpha=0.0)
    assert rule.forks(row([0.0, 1.5, 0.0], [2.9] * 3)) == []


def test_pruning_where_the_least_confidence_is_low():
    rule = EntropyConfidence(group_window=2, prune_threshold=1.7)
    # Means of two: 3, 2.25, 1.65.
    assert rule.num_kept(row([0.0] * 4, [3.0, 1.5, 1.8, 3.0])) == 3
    assert rule.num_kept(row([0.0] * 2, [3.0, 1.5])) is None
    assert rule.num_kept(row([0.0], [1.6])) == 1
    assert EntropyConfidence(prune=False).num_kept(row([0.0], [1.6])) is None


def test_pruning_where_the_tail_falls():
    rule = EntropyConfidence(
        prune_threshold=0.0, tail_window=1, tail_decline_steps=2, tail_threshold=2.0
    )
    # Two steps down and at most 2 only at the fifth token.
    assert rule.num_kept(row([0.0] * 6, [9.0, 1.9, 3.0, 2.5, 2.0, 9.0])) == 5
    assert rule.num_kept(row([0.0] * 5, [9.0, 8.0, 7.0, 6.0, 5.0])) is None  # falls, but is sure
    assert rule.num_kept(row([0.0] * 3, [2.0, 2.0, 2.0])) is None


def test_pruning_where_entropy_keeps_rising():
    rule = EntropyConfidence(
        prune_threshold=0.0, entropy_window=1, delta_rise_steps=2, delta_upper=0.5
    )
    # Rises by 0.2, 0.6: the second of two in a row, and more than 0.5.
    assert rule.num_kept(row([0.0, 0.2, 0.8, 0.0])) == 3
    assert rule.num_kept(row([0.0, 0.9, 0.9, 1.8])) is None  # no two in a row


def test_the_published_thresholds_of_confidence_never_act():
    # Of a distribution over any number of tokens the 5 likeliest have at most 1/5 each on average,
    # so that -1/5 sum log p is at least log 5; among 10 tokens entropy is at most log 10.
    assert math.log(5) > 1.2 > 1.0 > 0.4
    assert math.log(10) < 3.5
    published = EntropyConfidence(branch_threshold=1.2, prune_threshold=0.4, tail_threshold=1.0)
    unsure = row([0.0, 0.0, 0.0, 0.0, 3.9, 3.9], [math.log(5)] * 6, is_over=False)
    assert published.forks(unsure) == []
    calm = row([1.0] * 6, [math.log(5)] * 6)
    assert published.num_kept(calm) is None
