"""Agreement within groups beyond that across groups: degenerate cases, then numbers by hand."""

import pytest

from rl.groups.kappa import fleiss_kappa


@pytest.mark.parametrize("groups", [[], [["1", "1"]], [["1"], ["2"]], [[], ["1", "1"]]])
def test_no_pair_of_one_kind(groups):
    assert fleiss_kappa(groups) is None


def test_sure_of_what_depends_on_the_prompt_and_of_what_does_not():
    assert fleiss_kappa([["1", "1"], ["2", "2"]]) == 1.0
    assert fleiss_kappa([["1", "1"], ["1", "1"]]) == 0.0
    # No answer agrees with nothing: neither within (0 of 4 pairs) nor across.
    assert fleiss_kappa([[None, None], [None, None]]) == 0.0
    # All different: no pair agrees.
    assert fleiss_kappa([["1", "2"], ["3", "4"]]) == 0.0


def test_numbers_by_hand():
    # Within: ordered pairs that agree 2 (of "1") + 0, of 3 * 2 + 2 * 1 = 8. Across: of ordered
    # pairs 3 * 2 + 2 * 3 = 12, "1" twice here and once there 2 * 1 + 1 * 2 = 4.
    assert fleiss_kappa([["1", "1", None], ["1", "2"]]) == pytest.approx(
        (2 / 8 - 4 / 12) / (1 - 4 / 12)
    )


def test_random_answers_have_none_whatever_their_number():
    import random

    draw = random.Random(0)
    for kinds in (2, 5, 1000):
        groups = [[str(draw.randrange(kinds)) for _ in range(8)] for _ in range(200)]
        assert abs(fleiss_kappa(groups)) < 0.03
