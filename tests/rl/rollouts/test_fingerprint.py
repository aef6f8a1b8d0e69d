"""Fingerprints of weights: sums by hand, what leaves them alone and what does not."""

import pytest
import torch

from rl.rollouts.fingerprint import same_fingerprint, weight_fingerprint

FLOAT = torch.float32


def make_weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in ((40, 30), (30,), (7, 5, 3))]


def test_sums_by_hand():
    assert weight_fingerprint([], FLOAT) == (0.0, 0.0)
    assert weight_fingerprint([torch.zeros(3)], FLOAT) == (0.0, 0.0)
    # 1 - 2 + 3 - 0.5 = 1.5; 1 + 2 + 3 + 0.5 = 6.5.
    parameters = [torch.tensor([[1.0, -2.0], [3.0, 0.0]]), torch.tensor(-0.5)]
    assert weight_fingerprint(parameters, FLOAT) == (1.5, 6.5)


def test_weights_are_rounded_as_the_sampler_holds_them():
    # bfloat16 has steps of 2^-7 at 1, so 1 + 2^-9 becomes 1.
    parameters = [torch.tensor([1 + 2**-9, -4.0])]
    assert weight_fingerprint(parameters, FLOAT) == (-3 + 2**-9, 5 + 2**-9)
    assert weight_fingerprint(parameters, torch.bfloat16) == (-3.0, 5.0)


def test_layout_does_not_matter():
    weights = make_weights()
    expected = weight_fingerprint(weights, FLOAT)
    matrix, *others = weights
    fused = [torch.cat([part.flatten() for part in reversed(weights)])]
    transposed_and_padded = [torch.nn.functional.pad(matrix.t(), (0, 5, 2, 0)), *others]
    for layout in (fused, transposed_and_padded):
        assert same_fingerprint(weight_fingerprint(layout, FLOAT), expected)


def test_nothing_is_changed_and_gradients_are_not_needed():
    parameter = torch.nn.Parameter(torch.ones(3))
    assert weight_fingerprint([parameter], torch.bfloat16) == (3.0, 3.0)
    assert parameter.dtype == FLOAT
    assert parameter.grad_fn is None


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_a_step_of_training_shows(scale):
    weights = make_weights()
    before = weight_fingerprint(weights, FLOAT)
    weights[1] += scale * make_weights(seed=1)[1]
    assert not same_fingerprint(weight_fingerprint(weights, FLOAT), before)


def test_a_change_that_keeps_one_sum_shows_in_the_other():
    # Signs flipped: same magnitudes. Spread apart: same sum.
    a = weight_fingerprint([torch.tensor([1.0, -2.0])], FLOAT)
    flipped = weight_fingerprint([torch.tensor([-1.0, 2.0])], FLOAT)
    spread = weight_fingerprint([torch.tensor([2.0, -3.0])], FLOAT)
    assert (a[1], a[0]) == (flipped[1], spread[0])
    assert not same_fingerprint(a, flipped)
    assert not same_fingerprint(a, spread)


def test_a_missing_weight_shows():
    weights = make_weights()
    expected = weight_fingerprint(weights, FLOAT)
    for i in range(len(weights)):
        assert not same_fingerprint(
            weight_fingerprint(weights[:i] + weights[i + 1 :], FLOAT), expected
        )
    assert not same_fingerprint((0.0, 0.0), expected)


def test_rounding_of_the_sums_is_forgiven():
    # Up to 1e-10 of the magnitude, 100.
    assert same_fingerprint((1.0, 100.0), (1.0 + 9e-9, 100.0 - 9e-9))
    assert not same_fingerprint((1.0, 100.0), (1.0 + 1.1e-8, 100.0))
    assert same_fingerprint((0.0, 0.0), (0.0, 0.0))
