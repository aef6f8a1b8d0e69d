import random
from collections import Counter

import pytest

from rl.testbed.strategies import (
    WORK_PROB,
    draw_terms,
    guess_distribution,
    kind_of,
    step_distribution,
    strategy_of,
    write_prompt,
    write_solution,
)


def solutions(terms, wording, number, seed=0):
    rng = random.Random(seed)
    return [
        "".join(part.text for part in write_solution(terms, wording, rng)) for _ in range(number)
    ]


@pytest.mark.parametrize(
    ("terms", "kind"),
    [
        ([3, 5, -2], "plain"),
        ([3, -8, 9], "dips"),  # 3, -5, 4
        ([9, 8, -6, 7], "peaks"),  # 24 with the positives first, else 9, 17, 11, 18
        ([9, 8, 7, -6], None),  # 24 either way
        ([3, -8], None),  # the answer is below zero
        ([5, -7, 9, 8, -4, -2], None),  # dips to -2 and peaks at 22: neither way
    ],
)
def test_kinds_say_which_ways_solve_a_sum(terms, kind):
    assert kind_of(terms) == kind


@pytest.mark.parametrize("kind", ["plain", "dips", "peaks"])
def test_drawn_sums_are_of_their_kind_and_have_a_negative_term(kind):
    rng = random.Random(0)
    for _ in range(100):
        terms = draw_terms(rng, 4, kind)
        assert kind_of(terms) == kind
        assert len(terms) == 4
        assert min(terms) < 0 < terms[0]


def test_four_wordings_of_one_sum():
    assert [write_prompt([3, 5, -2], wording) for wording in WORK_PROB] == [
        "3+5-2=",
        "3 + 5 - 2 = ",
        "add 3,5,-2:",
        "3 plus 5 minus 2 is ",
    ]


@pytest.mark.parametrize(
    ("distribution", "right", "prob"),
    [
        (step_distribution(8, -2), 6, 0.96),  # 5, 4, 7 and 8 share 0.04
        (step_distribution(1, -1), 0, 0.96 + 0.02),  # slips below 0 are written 0
        (step_distribution(17, 7), 24, 0.4),  # over 20
        (step_distribution(3, -8), 5, 0.9),  # the sign is dropped
        (guess_distribution([3, 5, -2]), 6, 0.1),
        (guess_distribution([9, 9, -9]), 18, 0.5),  # the last term forgotten
        (guess_distribution([5, 1, -6]), 0, 0.1 + 0.2),  # -3, -2 and -1 are written 0
    ],
)
def test_what_may_be_written(distribution, right, prob):
    assert distribution[right] == pytest.approx(prob)
    assert sum(distribution.values()) == pytest.approx(1.0)
    assert min(distribution) >= 0


@pytest.mark.parametrize("wording", list(WORK_PROB))
def test_how_often_it_works_depends_on_the_wording(wording):
    ways = Counter(strategy_of(text) for text in solutions([3, 5, -2], wording, 4000))
    # Standard error of a share of 0.5 over 4000 draws: 0.008.
    half = WORK_PROB[wording] / 2
    assert ways["left to right"] / 4000 == pytest.approx(half, abs=0.03)
    assert ways["positives first"] / 4000 == pytest.approx(half, abs=0.03)


@pytest.mark.parametrize(
    ("terms", "solving", "failing"),
    [
        ([3, -8, 9], "positives first", "left to right"),
        ([9, 8, -6, 7], "left to right", "positives first"),
    ],
)
def test_one_way_solves_what_the_other_does_not(terms, solving, failing):
    texts = solutions(terms, "compact", 2000)
    rights = {
        way: [rf"\boxed{{{sum(terms)}}}" in text for text in texts if strategy_of(text) == way]
        for way in (solving, failing)
    }
    assert sum(rights[solving]) / len(rights[solving]) > 0.8
    assert sum(rights[failing]) / len(rights[failing]) < 0.5


def test_an_error_is_carried_on_and_a_box_may_be_missing():
    for text in solutions([3, 5, -2], "compact", 500):
        if strategy_of(text) == "left to right":
            first, second = text.split(r"\boxed")[0].split(";")
            assert second.startswith(first.split("=")[1] + "-2=")
    worked = [t for t in solutions([3, 5, -2], "compact", 4000) if strategy_of(t) != "guess"]
    # Of some 2000: standard error sqrt(0.05 * 0.95 / 2000) = 0.005.
    assert sum("boxed" not in text for text in worked) / len(worked) == pytest.approx(
        0.05, abs=0.02
    )
