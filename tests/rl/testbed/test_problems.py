import random
from collections import Counter

import pytest

from rl.testbed.problems import (
    add_with_borrow_error,
    is_hard,
    make_prompt,
    parse_prompt,
    solve,
    step_distribution,
    write_solution,
)


@pytest.mark.parametrize("text", ["", "4=", "4+1", "4+12=", "4*1=", "-4+1=", "4+1= "])
def test_text_that_is_no_chain_is_refused(text):
    with pytest.raises(ValueError, match="prompt: got"):
        parse_prompt(text)


# 12 - 5: ones digit 2 < 5, so the smaller is taken from the larger, 10 + (5 - 2) = 13.
@pytest.mark.parametrize(
    ("total", "term", "result"), [(12, -5, 13), (15, -2, 13), (8, -5, 3), (10, -1, 11), (9, 4, 13)]
)
def test_borrow_error(total, term, result):
    assert add_with_borrow_error(total, term) == result


def test_a_prompt_is_hard_if_the_error_changes_its_answer():
    assert solve("12-5=") == "7"
    assert is_hard("12-5=")
    assert not is_hard("9-5+2=")


def test_step_without_a_borrow():
    # 6 with 0.8, and 0.2 / 4 on each of 4, 5, 7, 8.
    expected = {6: 0.8, 4: 0.05, 5: 0.05, 7: 0.05, 8: 0.05}
    assert step_distribution(4, 2) == pytest.approx(expected)


def test_slips_may_fall_below_zero():
    # Right is 0: 0.8, and 0.2 / 4 on each of -2, -1, 1, 2.
    expected = {0: 0.8, -2: 0.05, -1: 0.05, 1: 0.05, 2: 0.05}
    assert step_distribution(4, -4) == pytest.approx(expected)


def test_step_with_a_borrow():
    # 12 - 5: 13 is meant with 0.8 and 7 with 0.2; each is then written with 0.8.
    results = step_distribution(12, -5)
    assert results[13] == pytest.approx(0.64)
    assert results[7] == pytest.approx(0.16)
    assert sum(results.values()) == pytest.approx(1.0)


def written_text(prompt, rng):
    return "".join(part.text for part in write_solution(prompt, rng))


def test_written_solutions_follow_the_distribution():
    rng = random.Random(0)
    written = Counter(written_text("4+2=", rng) for _ in range(4000))
    # Standard error of a share of 0.8 over 4000 draws: sqrt(0.8 * 0.2 / 4000) = 0.0063.
    assert written[r"4+2=6\boxed{6}"] / 4000 == pytest.approx(0.8, abs=0.03)
    assert set(written) == {rf"4+2={r}\boxed{{{r}}}" for r in range(4, 9)}


def test_an_error_is_carried_on():
    rng = random.Random(1)
    for _ in range(200):
        first, second = written_text("4+1+6=", rng).split(r"\boxed")[0].split(";")
        assert second.startswith(first.split("=")[1] + "+6=")


def test_totals_stay_in_range():
    rng = random.Random(2)
    for _ in range(500):
        total = 0
        for term in parse_prompt(make_prompt(rng, 3)):
            total += term
            assert 0 <= total <= 15
