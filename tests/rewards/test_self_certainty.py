"""The mean divergence from uniform, derived from small distributions by hand."""

import math
import pickle

import pytest

from rewards.self_certainty import SelfCertainty
from rl.errors import InputError
from rl.types import Group, Rollout, TokenStatistics


def make_group(*completions):
    """Make rollouts from their tokens' self-certainties; None is one without statistics."""
    rollouts = []
    for values in completions:
        statistics = None
        if values is not None:
            zeros = (0.0,) * len(values)
            statistics = TokenStatistics(
                logps=zeros,
                entropies=zeros,
                self_certainties=tuple(values),
                in_answer=(False,) * len(values),
            )
        rollouts.append(Rollout(completion="", token_statistics=statistics))
    return Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts))


def divergence(*probabilities):
    """KL(uniform || p) = -(1/V) sum_v log(V p_v)."""
    size = len(probabilities)
    return -sum(math.log(size * p) for p in probabilities) / size


def test_the_mean_over_tokens():
    # Uniform: 0. (1/4, 3/4): -(log(1/2) + log(3/2)) / 2 = log(4/3) / 2 = 0.1438.
    uniform, sharp = divergence(0.5, 0.5), divergence(0.25, 0.75)
    assert (uniform, sharp) == pytest.approx((0.0, 0.14384103622589045))
    rewards = SelfCertainty()(make_group([uniform], [sharp], [uniform, sharp]))
    assert rewards == pytest.approx([0.0, sharp, sharp / 2])


def test_long_repetition_is_paid_and_clip_takes_the_gain_away():
    varied, loop = [4.0, 6.0, 5.0], [5.0] + [25.0] * 9
    # 15 / 3 = 5; (5 + 225) / 10 = 23.
    assert SelfCertainty()(make_group(varied, loop)) == [5.0, 23.0]
    # With 5 at most: (4 + 5 + 5) / 3 and 5; the gap falls from 18 to 1/3.
    assert SelfCertainty(clip=5.0)(make_group(varied, loop)) == pytest.approx([14 / 3, 5.0])
    assert SelfCertainty(clip=30.0)(make_group(varied, loop)) == [5.0, 23.0]


def test_degenerate_groups():
    assert SelfCertainty()(make_group()) == []
    assert SelfCertainty()(make_group(None)) == [None]
    assert SelfCertainty()(make_group(None, [], [2.0])) == [None, None, 2.0]
    assert SelfCertainty()(make_group([2.0], [2.0])) == [2.0, 2.0]
    # A token that cannot occur makes the divergence infinite; with a clip it is one certain token.
    assert SelfCertainty()(make_group([1.0, math.inf], [1.0])) == [None, 1.0]
    assert SelfCertainty(clip=3.0)(make_group([1.0, math.inf])) == [2.0]
    assert SelfCertainty()(make_group([math.nan])) == [None]


def test_settings_pickling_and_order():
    for clip in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match=r"SelfCertainty\.clip: got"):
            SelfCertainty(clip=clip)
    reward = SelfCertainty(clip=3.0)
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert SelfCertainty.needs_token_statistics
    values = [[1.0], None, [2.0, 5.0]]
    assert reward(make_group(*values[::-1])) == reward(make_group(*values))[::-1]
