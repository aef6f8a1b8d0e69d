"""Groups whose trained rollouts have different rewards teach."""

import pytest

from rl.groups.scoring import score_group
from rl.training.curriculum.mixed_rewards import MixedRewards


@pytest.mark.parametrize(
    ("rewards", "trained", "taught"),
    [
        ([None, None, None], None, False),
        ([1.0, 1.0, 1.0], None, False),
        ([0.0, 0.0, 0.0], None, False),
        ([1.0, None, None], None, False),
        ([1.0, 1.0, None], None, False),
        ([1.0, 0.0, None], None, True),
        ([1.0, 1.0, 0.0], {0, 1}, False),  # the third only votes
        ([1.0, 1.0, 0.0], {1, 2}, True),
    ],
)
def test_different_rewards_teach(make_group, rewards, trained, taught):
    group = make_group(["1", "2", "3"], trained=trained)
    scored = score_group(group, 0, {"given": lambda group: rewards}, {"given": 1.0})
    assert MixedRewards().teaches(scored) is taught


def test_the_default_is_verls():
    assert MixedRewards().num_tries == 10
