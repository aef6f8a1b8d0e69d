"""ETTRL's fork points, by hand."""

import pytest

from rl.rollouts.branching.contract import Fork, TokenRow
from rl.rollouts.branching.entropy_fork import EntropyFork, highest_entropy_positions


def row(entropies, is_over=True):
    return TokenRow(entropies=entropies, confidences=(), is_over=is_over)


def positions(rule, entropies, is_over=True):
    return [fork.position for fork in rule.forks(row(entropies, is_over))]


@pytest.mark.parametrize(
    ("entropies", "number", "expected"),
    [
        ([], 2, []),
        ([0.3], 0, []),
        ([0.3], 2, [0]),
        ([0.1, 0.9, 0.0, 0.9, 0.5], 3, [1, 3, 4]),  # of equal ones the earlier
        ([0.0, 0.0, 0.0], 2, [0, 1]),
    ],
)
def test_highest_entropies(entropies, number, expected):
    assert highest_entropy_positions(entropies, number) == expected


def test_none_leaves_at_the_end():
    # The last token ended it: what stands there is unsure, but there is nothing to draw anew.
    assert positions(EntropyFork(num_forks=2), [0.1, 0.5, 0.2, 0.9]) == [1, 2]
    # At the length limit it was a token like the others.
    assert positions(EntropyFork(num_forks=2), [0.1, 0.5, 0.2, 0.9], is_over=False) == [3, 1]


def test_short_roots():
    assert positions(EntropyFork(num_forks=3), [0.7]) == []
    assert positions(EntropyFork(num_forks=3), [0.7], is_over=False) == [0]
    assert positions(EntropyFork(num_forks=3), [0.7, 0.8, 0.0]) == [1, 0]


def test_the_size_of_a_tree():
    # M (1 + B N) = 12 (1 + 2 * 2) = 60, as in the paper.
    rule = EntropyFork()
    assert (rule.num_roots, rule.num_completions) == (12, 60)
    assert rule.forks(row([0.1, 0.2, 0.0])) == [
        Fork(position=1, num_branches=2),
        Fork(position=0, num_branches=2),
    ]
    assert EntropyFork(num_trees=4, num_forks=0).num_completions == 4
