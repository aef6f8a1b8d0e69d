r"""Format and length; scores derived from the formulas by hand.

With L_max = 3072 and p = 0.5 a length of L tokens has x/p = L / 1536. For example 768 tokens:
1 - (1 - 0.5)^2 = 0.75; 2304 tokens: x = 0.75, 1 - 2 (0.25 / 0.5)^2 = 0.5.
"""

import math
import pickle

import pytest

from rewards.format_length import FormatLength, polyline_length_score, quadratic_length_score
from rl.errors import InputError
from rl.types import Group, Rollout

LIMIT = 3072
RIGHT, WRONG = r"\boxed{7}", r"\boxed{x +* 2}"


def score(*rollouts, **settings):
    group = Group(
        prompt_id="p",
        prompt="3+4=",
        rollouts=tuple(Rollout(completion=text, num_tokens=length) for text, length in rollouts),
    )
    return FormatLength(max_completion_length=LIMIT, **settings)(group)


@pytest.mark.parametrize(
    ("num_tokens", "expected"),
    [
        (0, 0.0),
        (256, 1 - (5 / 6) ** 2),  # 11/36 = 0.306
        (512, 1 - (2 / 3) ** 2),  # 5/9 = 0.556
        (768, 0.75),
        (1024, 1 - (1 / 3) ** 2),  # 8/9 = 0.889
        (1536, 1.0),
        (2048, 1 - 2 / 9),  # 7/9 = 0.778
        (2304, 0.5),
        (2560, 1 - 2 * 4 / 9),  # 1/9 = 0.111
        (2816, 1 - 2 * 25 / 36),  # -7/18 = -0.389
        (3072, -1.0),
        (9999, -1.0),
    ],
)
def test_quadratic_score_with_the_published_limit(num_tokens, expected):
    assert quadratic_length_score(num_tokens / LIMIT) == pytest.approx(expected)
    # A right format adds the bonus, a wrong one leaves only what is negative.
    [right, wrong] = score((RIGHT, num_tokens), (WRONG, num_tokens))
    assert (right, wrong) == pytest.approx((1 + expected, min(0, expected)))
    [right, wrong] = score((RIGHT, num_tokens), (WRONG, num_tokens), preset="reference_code")
    assert (right, wrong) == pytest.approx((0.5 + expected, min(0, expected)))


@pytest.mark.parametrize("peak", [0.1, 0.4, 0.5, 0.8, 1.0])
def test_scores_at_the_ends_and_at_the_peak(peak):
    for shape in (quadratic_length_score, polyline_length_score):
        assert shape(0.0, peak) == 0.0
        assert shape(peak, peak) == 1.0
        assert shape(1.0, peak) == pytest.approx(-1.0 if peak < 1 else 1.0)
        assert shape(-1.0, peak) == 0.0
        assert shape(2.0, peak) == shape(1.0, peak)


def test_quadratic_crosses_zero_where_it_should():
    # 1 = 2 ((x - p) / (1 - p))^2 at x = p + (1 - p) / sqrt(2) = 0.8536, 2622 of 3072 tokens.
    assert quadratic_length_score(0.5 + 0.5 / math.sqrt(2)) == pytest.approx(0.0)
    assert quadratic_length_score(2622 / LIMIT) > 0 > quadratic_length_score(2623 / LIMIT)


@pytest.mark.parametrize(
    ("x", "peak", "expected"),
    [
        (0.25, 0.5, 0.5),  # 2x
        (0.75, 0.5, 0.0),  # 3 - 4x
        (0.9, 0.5, -0.6),
        (0.4, 0.8, 0.5),  # halfway up
        (0.9, 0.8, 0.0),  # halfway down, from 1 to -1
    ],
)
def test_polyline_score(x, peak, expected):
    assert polyline_length_score(x, peak) == pytest.approx(expected)


def test_shape_and_peak_reach_the_reward():
    # x = 0.25: 1 + 2x; with the peak at 0.25 both shapes give 1 + 1.
    assert score((RIGHT, 768), shape="polyline") == pytest.approx([1.5])
    assert score((RIGHT, 768), shape="polyline", peak=0.25) == pytest.approx([2.0])
    assert score((RIGHT, 768), peak=0.25) == pytest.approx([2.0])


def test_degenerate_groups():
    assert score() == []
    assert score(("", 0)) == [0.0]
    # The end token alone: f > 0, but there is no box.
    assert score(("", 1)) == [0.0]
    assert score((RIGHT, 1536), (RIGHT, 1536)) == [2.0, 2.0]
    # Cut at the limit, with and without a box.
    assert score((RIGHT, LIMIT), ("so", LIMIT)) == [0.0, -1.0]
    assert score((RIGHT, LIMIT), ("so", LIMIT), preset="reference_code") == [-0.5, -1.0]


def test_reference_code_may_pay_a_wrong_format_more_than_a_right_one():
    # 0.5 + f < 0 beyond x = 0.5 + 0.5 sqrt(0.75) = 0.9330, 2866 tokens; the paper's bonus never.
    short_wrong, long_right = (WRONG, 100), (RIGHT, 2870)
    # 2870 tokens: x = 0.93424, f = 1 - 2 (0.43424 / 0.5)^2 = -0.50854.
    code = score(short_wrong, long_right, preset="reference_code")
    assert code == pytest.approx([0.0, -0.00854], abs=1e-5)
    assert score(short_wrong, long_right) == pytest.approx([0.0, 0.49146], abs=1e-5)


@pytest.mark.parametrize(
    ("completion", "is_right"),
    [
        (r"\boxed{\frac{3}{2}}", True),
        (r"\boxed{(0,1]}", True),
        (r"\boxed{}", False),
        (r"\boxed{1} \boxed{}", False),  # only the last box counts
        (r"\boxed{\boxed{\boxed{1", False),
        (r"\boxed{(0,1 }", False),
        ("the answer is 7", False),
        (r"\boxed{__import__('os').getpid()}", False),
        (r"\boxed{9^{9^{9}}}", True),  # nothing is computed
        ("\x00\ud83d", False),
    ],
)
def test_format_of_the_last_box(completion, is_right):
    assert score((completion, 1536)) == [2.0 if is_right else 0.0]


def test_repetition_guard_makes_a_format_wrong():
    # 30 equal words and the box: 30 + 6 pieces (\ boxed { 7 } is 5 pieces, so 35), 16 20-grams.
    loop = "again " * 30 + RIGHT
    # The first 11 20-grams are "again" x 20; the other 5 end in the box: 6 distinct of 16.
    share = 1 - 6 / 16
    assert score((loop, 1536)) == [2.0]
    assert score((loop, 1536), repetition_guard=share) == [2.0]
    assert score((loop, 1536), repetition_guard=share - 0.01) == [0.0]
    assert score((RIGHT, 1536), repetition_guard=0.0) == [2.0]


def test_settings_are_checked():
    with pytest.raises(InputError, match="max_completion_length: got none, expected a value"):
        FormatLength()
    with pytest.raises(InputError, match="max_completion_length: got 0"):
        FormatLength(max_completion_length=0)
    with pytest.raises(InputError, match="Did you mean 'paper'"):
        FormatLength(max_completion_length=1, preset="papr")
    with pytest.raises(InputError, match=r"FormatLength\.shape: got 'cubic'"):
        FormatLength(max_completion_length=1, shape="cubic")
    for peak in (0.0, 1.1, float("nan")):
        with pytest.raises(InputError, match="peak: got"):
            FormatLength(max_completion_length=1, peak=peak)
    for guard in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="repetition_guard: got"):
            FormatLength(max_completion_length=1, repetition_guard=guard)


def test_pickled_and_blind_to_order():
    reward = FormatLength(max_completion_length=LIMIT, peak=0.8, repetition_guard=0.5)
    assert pickle.loads(pickle.dumps(reward)) == reward
    rollouts = [(RIGHT, 100), (WRONG, 3000), ("", 5), (RIGHT, 1536)]
    assert score(*rollouts[::-1]) == score(*rollouts)[::-1]
