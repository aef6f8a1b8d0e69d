"""Which groups lie in the band: shares by hand, both ends included."""

import pytest

from rl.errors import InputError
from rl.groups.scoring import score_group
from rl.training.curriculum.majority_band import MajorityBand


@pytest.mark.parametrize(
    ("answers", "low", "high", "taught"),
    [
        ([None, None], 0.0, 1.0, True),  # share 0
        ([None, None], 0.01, 1.0, False),
        (["1"], 1.0, 1.0, True),
        (["1", "1", "2", "3"], 0.5, 1.0, True),  # 2/4, the lower end
        (["1", "2", "3", "4"], 0.3, 1.0, False),  # 1/4
        (["1", "1", "1", "2"], 0.3, 0.75, True),  # 3/4, the upper end
        (["1", "1", "1", "1"], 0.3, 0.99, False),  # unanimous
        (["1", "1", None, None], 0.3, 0.5, True),  # those without an answer count as votes
    ],
)
def test_a_share_within_the_band_teaches(make_group, answers, low, high, taught):
    scored = score_group(make_group(answers), 0, {}, {})
    assert MajorityBand(low=low, high=high).teaches(scored) is taught


def test_the_default_is_that_of_the_authors_code():
    assert MajorityBand() == MajorityBand(low=0.3, high=1.0, num_tries=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 0.8, "high": 0.2}, "low: got 0.8, expected at most high"),
        ({"low": -0.1}, "low: got -0.1"),
        ({"high": 1.5}, "high: got 1.5"),
        ({"num_tries": 0}, "num_tries: got 0"),
    ],
)
def test_a_band_that_is_none_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        MajorityBand(**settings)
