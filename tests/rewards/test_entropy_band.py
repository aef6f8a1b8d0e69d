"""Forking tokens and entropy bands against numbers derived by hand; degenerate responses first."""

import json
import math

import pytest
import torch

from rewards import get_token_selector
from rewards.entropy_band import (
    EntropyBand,
    RandomShare,
    median_band,
    otsu_threshold,
    quantile_band,
    top_share_mask,
)
from rl.errors import InputError
from rl.groups.advantages import TrainedVotes, get_advantage


def row(*entropies, width=None):
    """One response of these entropies, padded with a large number that must not count."""
    values = list(entropies) + [9.0] * ((width or len(entropies)) - len(entropies))
    mask = [True] * len(entropies) + [False] * (len(values) - len(entropies))
    return torch.tensor([values]), torch.tensor([mask]), torch.tensor([0])


def selected(selector, *entropies):
    return selector(*row(*entropies, width=len(entropies) + 2)).weights[0].tolist()


every_selector = pytest.mark.parametrize(
    "make",
    [
        lambda: EntropyBand(preset="v1"),
        lambda: EntropyBand(preset="v2"),
        lambda: EntropyBand(preset="anchored"),
        lambda: RandomShare(),
    ],
    ids=["v1", "v2", "anchored", "random"],
)


@every_selector
def test_a_row_without_tokens_selects_nothing(make):
    entropies = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    mask = torch.tensor([[False, False], [True, True]])
    selection = make()(entropies, mask, torch.tensor([0, 0]))
    assert selection.weights[0].tolist() == [0.0, 0.0]
    assert (selection.low[0], selection.high[0]) == (0.0, 0.0)
    assert selection.weights[1].sum() >= 1


@every_selector
def test_no_rows(make):
    nothing = torch.empty(0, 3, dtype=torch.bool)
    selection = make()(torch.empty(0, 3), nothing, torch.empty(0, dtype=torch.long))
    assert selection.weights.shape == (0, 3)
    assert selection.low.shape == selection.high.shape == (0,)


@every_selector
def test_a_single_token_is_selected_and_padding_is_not(make):
    assert selected(make(), 1.0) == [1.0, 0.0, 0.0]


@every_selector
def test_rows_do_not_see_each_other_nor_the_padding(make):
    # Random draws depend on the position in the batch, so each row is asked for its share alone.
    one = make()(*row(0.1, 0.2, 0.3, 2.0, 1.0))
    entropies, mask, groups = row(0.1, 0.2, 0.3, 2.0, 1.0, width=8)
    two = make()(entropies.repeat(2, 1), mask.repeat(2, 1), groups.repeat(2))
    for r in range(2):
        assert two.weights[r].sum() == one.weights[0].sum()
        assert two.weights[r, 5:].tolist() == [0.0] * 3
    if not isinstance(make(), RandomShare):
        assert two.weights[:, :5].tolist() == [one.weights[0].tolist()] * 2
        assert two.low.tolist() == pytest.approx([one.low.item()] * 2)
        assert two.high.tolist() == pytest.approx([one.high.item()] * 2)


# Version 1.


@pytest.mark.parametrize(
    ("share", "num_tokens", "count"),
    [(0.2, 1, 1), (0.2, 5, 1), (0.2, 6, 2), (0.2, 15, 3), (0.2, 100, 20), (1.0, 7, 7)],
)
def test_the_top_share_is_rounded_up(share, num_tokens, count):
    entropies = torch.arange(num_tokens, dtype=torch.float32)
    mask = top_share_mask(entropies, share)
    assert mask.tolist() == [False] * (num_tokens - count) + [True] * count


def test_equal_entropies_give_the_earliest_tokens():
    assert top_share_mask(torch.ones(5), 0.4).tolist() == [True, True, False, False, False]


def test_v1_by_hand():
    # The upper 5 of 10 tokens are 5..9. Their 0.1-quantile lies 0.4 of the way from the first to
    # the second (0.1 * 4 steps), 5.4; the 0.5-quantile is the middle one, 7.
    selection = EntropyBand(preset="v1", top_share=0.5)(*row(*map(float, range(10))))
    assert selection.weights[0].tolist() == [0.0] * 5 + [1.0] * 5
    assert selection.low.item() == pytest.approx(5.4)
    assert selection.high.item() == pytest.approx(7.0)
    assert quantile_band(torch.tensor([2.0]), 0.1, 0.5) == (2.0, 2.0)


# Version 2.


def test_otsu_by_hand():
    # 100 bins of width 0.03 from 0 to 3: 0, 0 in the first, 2 in bin 66, 3 in the last. Any split
    # between the zeros and 2 is the same and the best: weights 2, 2, means 0.015 and about 2.5. The
    # first such split is after bin 0, whose centre is 0.015.
    assert otsu_threshold(torch.tensor([0.0, 0.0, 2.0, 3.0])) == pytest.approx(0.015)
    # Splitting 3 off instead: weights 3, 1, means 2/3 and 3: 3 * 5.4 = 16.3 < 4 * 6.2 = 24.7.
    assert otsu_threshold(torch.tensor([0.0, 0.0, 0.1, 3.0]), num_bins=3) == pytest.approx(0.5)


def test_equal_entropies_are_all_forking():
    assert otsu_threshold(torch.tensor([2.0, 2.0])) == 2.0
    assert selected(EntropyBand(preset="v2"), 2.0, 2.0) == [1.0, 1.0, 0.0, 0.0]
    assert selected(EntropyBand(preset="v2"), 0.0, 0.0) == [1.0, 1.0, 0.0, 0.0]


def test_v2_by_hand():
    # Forking: 2 and 3. Median 2.5, deviations 0.5 and 0.5, so low = 2.5 - 1.4826 * 0.5 = 1.7587.
    selection = EntropyBand(preset="v2")(*row(0.0, 0.0, 2.0, 3.0))
    assert selection.weights[0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert selection.high.item() == pytest.approx(2.5)
    assert selection.low.item() == pytest.approx(1.7587)


def test_the_lower_bound_is_no_negative_entropy():
    # Median 1, deviations 1, 0, 5: their median is 1, so 1 - 1.4826 is below zero.
    assert median_band(torch.tensor([0.0, 1.0, 6.0])) == (0.0, 1.0)


# The anchored preset.


def test_a_collapsed_response_selects_nothing():
    selector = EntropyBand(preset="anchored", min_entropy=0.05)
    assert selected(selector, 0.0, 0.01, 0.04) == [0.0] * 5
    assert selector.state_dict() == {"anchor": None}


def test_the_share_is_capped():
    # Otsu alone takes the upper five of ten; a fifth of ten is two.
    low_and_high = [0.0] * 5 + [2.0, 2.1, 2.2, 2.3, 2.4]
    assert sum(selected(EntropyBand(preset="v2"), *low_and_high)) == 5
    weights = selected(EntropyBand(preset="anchored", top_share=0.2), *low_and_high)
    assert weights == [0.0] * 8 + [1.0] * 2 + [0.0] * 2


def test_the_band_stays_where_the_first_batch_put_it():
    selector = EntropyBand(preset="anchored", top_share=1.0, low_quantile=0.0, high_quantile=1.0)
    first = selector(*row(0.0, 0.0, 2.0, 3.0))
    later = selector(*row(0.0, 0.0, 0.4, 0.5))
    for selection in (first, later):
        assert (selection.low.item(), selection.high.item()) == (2.0, 3.0)
    assert later.weights[0].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_a_resumed_run_keeps_the_band():
    selector = EntropyBand(preset="anchored")
    first = selector(*row(0.0, 0.0, 2.0, 3.0))
    resumed = EntropyBand(preset="anchored")
    resumed.load_state_dict(json.loads(json.dumps(selector.state_dict())))
    again = resumed(*row(0.0, 0.0, 0.2, 0.3))
    assert (again.low.item(), again.high.item()) == (first.low.item(), first.high.item())
    fresh = EntropyBand(preset="anchored")
    fresh.load_state_dict({"anchor": None})
    assert fresh(*row(0.0, 0.0, 0.2, 0.3)).high.item() < 1.0


# Advantages, as the independent implementation of version 2 scales them.


def test_its_advantages_are_those_of_the_population_deviation():
    # Three of eight are paid: mean 3/8, variance 15/64 over n and 15/56 over n - 1.
    rewards = torch.tensor([[1.0] * 3 + [0.0] * 5])
    population = (rewards - 3 / 8) / (15 / 64) ** 0.5
    agreed = TrainedVotes(  # which neither rule reads
        clusters=rewards.long(), shares=torch.ones(1, 8), majority_ratio=torch.ones(1)
    )
    theirs = get_advantage({"pass_at_k": {"k": 1}})(rewards, agreed)
    torch.testing.assert_close(theirs, population)
    ours = get_advantage("normalized")(rewards, agreed)
    torch.testing.assert_close(theirs / ours, torch.full((1, 8), (8 / 7) ** 0.5))


# The control.


def test_the_random_share_is_a_share_drawn_anew_for_each_batch():
    selector, entropies = RandomShare(share=0.25, seed=1), torch.zeros(50, 40)
    rest = torch.ones(50, 40, dtype=torch.bool), torch.zeros(50, dtype=torch.long)
    first, second = selector(entropies, *rest).weights, selector(entropies, *rest).weights
    assert first.sum(dim=1).tolist() == second.sum(dim=1).tolist() == [10.0] * 50
    assert not first.equal(second)
    # 2,000 of 8,000 draws; each position is taken 12.5 times of 50, standard deviation 3.
    assert first.sum(dim=0).min() > 0
    assert RandomShare(share=0.25, seed=1)(entropies, *rest).weights.equal(first)
    assert not RandomShare(share=0.25, seed=2)(entropies, *rest).weights.equal(first)
    resumed = RandomShare(share=0.25, seed=1)
    resumed.load_state_dict(json.loads('{"num_batches": 1}'))
    assert resumed(entropies, *rest).weights.equal(second)


# The scope of the choice.

SCOPED = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0], [6.0, 7.0, 8.0]])
SCOPED_MASK = torch.tensor([[True] * 3, [True, True, False], [True] * 3])
SCOPED_GROUPS = torch.tensor([0, 0, 1])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        # The upper half, rounded up, of 3, 2 and 3 tokens: 2, 1 and 2 of them.
        ("response", [[0, 1, 1], [0, 1, 0], [0, 1, 1]]),
        # Of the first group's five, 1 to 5, the upper three; the second group is one response.
        ("group", [[0, 0, 1], [1, 1, 0], [0, 1, 1]]),
        # Of all eight, 1 to 8, the upper four. The padding of 9 is none of them.
        ("batch", [[0, 0, 0], [0, 1, 0], [1, 1, 1]]),
    ],
)
def test_the_top_share_of_a_scope_by_hand(scope, expected):
    selector = EntropyBand(preset="v1", top_share=0.5, scope=scope, low_quantile=0.0)
    selection = selector(SCOPED, SCOPED_MASK, SCOPED_GROUPS)
    assert selection.weights.tolist() == expected
    # Bands stay those of a response: its own selected tokens' minimum and median.
    for r, weights in enumerate(selection.weights.bool()):
        chosen = SCOPED[r, weights]
        band = (chosen.min().item(), chosen.quantile(0.5).item()) if len(chosen) else (0.0, 0.0)
        assert (selection.low[r].item(), selection.high[r].item()) == band


def test_otsu_over_a_batch_by_hand():
    # Alone, the first response splits between 0 and 1. Beside tokens at 9 and 10 its 1 is low too.
    entropies = torch.tensor([[0.0, 1.0], [9.0, 10.0]])
    mask, groups = torch.ones(2, 2, dtype=torch.bool), torch.tensor([0, 1])
    alone = EntropyBand(preset="v2")(entropies, mask, groups).weights
    assert alone.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    together = EntropyBand(preset="v2", scope="batch")(entropies, mask, groups).weights
    assert together.tolist() == [[0.0, 0.0], [1.0, 1.0]]


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "v3"}, "token_selector.entropy_band.preset: got 'v3'"),
        ({"scope": "prompt"}, "entropy_band.scope: got 'prompt'"),
        ({"low_weight": -1}, "low_weight: got -1, expected at least 0"),
        ({"top_share": 0}, "top_share: got 0, expected above 0"),
        ({"low_quantile": 0.6, "high_quantile": 0.5}, "high_quantile: got 0.5, expected low_quant"),
        ({"min_entropy": math.nan}, "min_entropy: got nan"),
        ({"quantile": 1}, "setting of token_selector.entropy_band: got 'quantile'"),
    ],
)
def test_a_wrong_setting(settings, message):
    with pytest.raises(InputError, match=message):
        get_token_selector("entropy_band", **settings)


def test_selectors_by_name(tmp_path):
    assert get_token_selector("entropy_band", preset="v1") == EntropyBand(preset="v1")
    assert get_token_selector("random_share", share=0.5) == RandomShare(share=0.5)
    with pytest.raises(InputError, match=r"token_selector: got 'entropy_bnad'.*'entropy_band'"):
        get_token_selector("entropy_bnad")
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "class All:\n    low_weight = high_weight = 0.0\n"
        "    def __call__(self, entropies, mask, groups): ...\n"
    )
    assert get_token_selector(f"{plugin}:All").low_weight == 0.0
