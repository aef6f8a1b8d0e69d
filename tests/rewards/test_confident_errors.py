"""Which tokens of a completion count as confident errors; every number by hand."""

import pytest
import torch

from rewards import get_token_selector
from rewards.confident_errors import ConfidentErrors, confident_errors
from rl.errors import InputError


def test_no_token_and_equal_scores():
    nothing = torch.zeros(2, 3)
    assert not confident_errors(nothing, nothing, torch.zeros(2, 3, dtype=torch.bool), 0.5).any()
    # Entropies that are all equal scale to 0; equal scores are all at their median.
    assert confident_errors(nothing, nothing - 1, torch.ones(2, 3, dtype=torch.bool), 0.5).all()


def test_improbable_tokens_at_certain_places_are_selected():
    # Entropies 0, 1, 0, 1: their 0.98-quantile is 1, so they stay. Scores: -logp * (1 - entropy):
    # 2 * 1, 5 * 0, 0.1 * 1, 1 * 0; the median of 2, 0, 0.1, 0 is 0.05.
    entropies = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    logps = torch.tensor([[-2.0, -5.0, -0.1, -1.0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert confident_errors(entropies, logps, mask, 0.5).tolist() == [[True, False, True, False]]
    # The largest alone; and all.
    assert confident_errors(entropies, logps, mask, 1.0).tolist() == [[True, False, False, False]]
    assert confident_errors(entropies, logps, mask, 0.0).all()


def test_each_completion_has_its_own_median_and_padding_has_no_part():
    entropies = torch.zeros(2, 3)
    logps = torch.tensor([[-1.0, -2.0, -99.0], [-10.0, -30.0, -20.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    # Medians 1.5 and 20.
    expected = [[False, True, False], [False, True, True]]
    assert confident_errors(entropies, logps, mask, 0.5).tolist() == expected


def test_as_a_selector_with_a_limit():
    selector = get_token_selector("confident_errors", max_tokens=2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    logps = torch.tensor([[-1.0, -2.0, -99.0]])
    selection = selector(torch.zeros(1, 3), mask, torch.zeros(1), logps)
    assert selection.weights.tolist() == [[0.0, 1.0, 0.0]]
    assert selection.low.tolist() == selection.high.tolist() == [0.0]


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"ConfidentErrors.quantile: got 1.5, expected"):
        ConfidentErrors(quantile=1.5)
