"""Which rows MIGU updates: magnitudes by hand."""

import pytest
import torch

from rl.errors import InputError
from rl.training.gradient_masks.migu import Migu


@pytest.mark.parametrize(
    ("magnitudes", "threshold", "kept"),
    [
        ([3.0], 0.7, [True]),
        ([0.0, 0.0, 0.0], 0.7, [True] * 3),  # nothing ran: nothing is larger
        ([2.0, 2.0, 2.0], 0.7, [True] * 3),
        ([1.0, 2.0, 3.0, 4.0], 0.0, [True] * 4),
        ([1.0, 2.0, 3.0, 4.0], 1.0, [False, False, False, True]),
        # The quantile 0.7 of 0 to 4 lies at position 2.8, and so is 2.8: two are at least that.
        ([4.0, 0.0, 1.0, 3.0, 2.0], 0.7, [True, False, False, True, False]),
        # The median of 1, 2, 3 is 2, which is kept itself.
        ([1.0, 2.0, 3.0], 0.5, [False, True, True]),
    ],
)
def test_rows_of_large_outputs_are_kept(magnitudes, threshold, kept):
    assert Migu(threshold=threshold).keep(torch.tensor(magnitudes), 0).tolist() == kept


def test_a_scale_changes_nothing():
    magnitudes = torch.rand(50, generator=torch.Generator().manual_seed(0))
    assert Migu().keep(magnitudes, 0).equal(Migu().keep(magnitudes / magnitudes.sum(), 1))


def test_the_threshold_is_the_authors():
    assert Migu() == Migu(threshold=0.7, first_steps=0)
    with pytest.raises(InputError, match=r"threshold: got 1\.5"):
        Migu(threshold=1.5)
