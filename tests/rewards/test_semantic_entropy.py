"""The share of each answer, and the groups that are not scored; counted by hand."""

import math
import pickle
from dataclasses import replace

import pytest

from rewards.semantic_entropy import SemanticEntropy
from rl.errors import InputError
from rl.types import Group

# 4 of 8, 2 of 8, 1 of 8, and one without an answer.
MIXED = ["2", "2", "2.0", "2", "3", "3", "5", None]


def test_each_answer_is_paid_its_share(make_group):
    expected = [0.5] * 4 + [0.25] * 2 + [0.125, 0.0]
    assert SemanticEntropy()(make_group(MIXED)) == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], []),
        ([None], [0.0]),
        (["2"], [1.0]),  # agrees with itself
        (["2"] * 4, [1.0] * 4),
        ([None, None], [0.0, 0.0]),
        (["2", "3", "4"], [0.0] * 3),  # all differ: entropy log 3
        (["2", "3", None], [0.0] * 3),  # silence agrees with nobody either
        (["2", None], [0.0, 0.0]),
        (["2", "3", "3", "2"], [0.5] * 4),  # a tie
        (["2", "2", None, None], [0.5, 0.5, 0.0, 0.0]),
    ],
)
def test_degenerate_groups(make_group, answers, expected):
    assert SemanticEntropy()(make_group(answers)) == expected


def test_clusters_are_computed_where_they_are_missing(make_group):
    group = make_group(["0.5", r"\frac12", "7", None])
    bare = replace(group, rollouts=tuple(replace(r, cluster=None) for r in group.rollouts))
    assert SemanticEntropy()(bare) == SemanticEntropy()(group) == [0.5, 0.5, 0.25, 0.0]


# Entropy in units of log G, G = 4: all equal 0; 2 + 2: log 2 / log 4 = 1/2; 2 + 1 + 1:
# (1/2 log 2 + 1/2 log 4) / log 4 = 3/4; all different 1.
@pytest.mark.parametrize(
    ("answers", "entropy"),
    [
        (["2", "2", "2", "2"], 0.0),
        (["2", "2", "3", "3"], 0.5),
        (["2", "2", "3", "4"], 0.75),
        (["2", "2", None, None], 0.75),
        (["2", "3", "4", "5"], 1.0),
        ([None, None, None, None], 1.0),
    ],
)
def test_groups_outside_the_band_are_not_scored(make_group, answers, entropy):
    group = make_group(answers)
    scored = SemanticEntropy()(group)
    # The borders belong to the band.
    for band in ((entropy, entropy), (0.0, entropy), (entropy, 1.0), (0.0, 1.0)):
        assert SemanticEntropy(entropy_band=band)(group) == scored
    if entropy > 0:
        assert SemanticEntropy(entropy_band=(0.0, entropy - 0.01))(group) == [None] * 4
    if entropy < 1:
        assert SemanticEntropy(entropy_band=(entropy + 0.01, 1.0))(group) == [None] * 4


def test_the_band_of_small_groups(make_group):
    # log 1 = 0: a group of one, like an empty one, has entropy 0.
    assert SemanticEntropy(entropy_band=(0.0, 0.0))(make_group(["2"])) == [1.0]
    assert SemanticEntropy(entropy_band=(0.1, 1.0))(make_group(["2"])) == [None]
    assert SemanticEntropy(entropy_band=(0.1, 1.0))(make_group([])) == []


def test_every_rollout_counts_trained_or_not(make_group):
    assert SemanticEntropy()(make_group(MIXED, trained={0})) == SemanticEntropy()(make_group(MIXED))


@pytest.mark.parametrize("band", [(0.5,), (0.5, 0.2), (-0.1, 0.5), (0.5, 1.1), (0.0, math.nan)])
def test_bad_bands(band):
    with pytest.raises(InputError, match=r"entropy_band.*: got .*, expected"):
        SemanticEntropy(entropy_band=band)


def test_pickled_and_blind_to_order(make_group):
    reward = SemanticEntropy(entropy_band=(0.1, 0.9))
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert reward(make_group(MIXED[::-1])) == reward(make_group(MIXED))[::-1]


def test_a_band_read_from_yaml_is_a_list(make_group):
    group: Group = make_group(MIXED)
    assert SemanticEntropy(entropy_band=[0.0, 1.0])(group) == SemanticEntropy()(group)
