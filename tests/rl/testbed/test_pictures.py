import random
from collections import Counter

import pytest

from rl.testbed.parts import BOXED
from rl.testbed.pictures import (
    FAVOURITE,
    GUESSES,
    LABELS,
    SIZE,
    WORK_PROB,
    Picture,
    Problem,
    answer_of,
    draw_picture,
    draw_problem,
    guess_distribution,
    read_lines,
    sign_distribution,
    slip_distribution,
    way_of,
    write_solution,
)

# Squares by rows: 2, 0, 1; by columns: 1, 1, 1.
THREE = Picture(("square", "ring", "square", "", "", "", "triangle", "square", ""), look=1)
ONE = Picture(("", "square", "", "ring", "", "", "", "", "ring"), look=2)
COUNTING = Problem("counting", "square", (THREE,))
COMPARING = Problem("comparing", "square", (ONE, THREE))


def solutions(problem, number, way=None, seed=0):
    rng = random.Random(seed)
    return ["".join(part.text for part in write_solution(problem, rng, way)) for _ in range(number)]


def test_cells_are_read_by_rows_and_by_columns():
    assert read_lines(COUNTING, THREE, "rows") == ["x.x", "...", ".x."]
    assert read_lines(COUNTING, THREE, "columns") == ["x..", "..x", "x.."]
    assert answer_of(COUNTING) == 3
    assert answer_of(COMPARING) == 2
    assert answer_of(Problem("comparing", "ring", (ONE, THREE))) == 1
    assert answer_of(Problem("counting", "ring", (Picture(("",) * 9, look=0),))) == 0


@pytest.mark.parametrize("kind", list(WORK_PROB))
def test_drawn_questions_are_of_their_kind_and_can_be_guessed(kind):
    rng = random.Random(0)
    problems = [draw_problem(rng, kind, ["ring"]) for _ in range(200)]
    answers = {answer_of(problem) for problem in problems}
    assert answers <= set(GUESSES[kind])
    if kind in LABELS:
        assert answers == set(LABELS[kind])
        assert {problem.shape for problem in problems} == {"ring"}
    assert {len(problem.pictures) for problem in problems} == {2 if kind == "comparing" else 1}


def test_the_fewer_stand_first_as_often_as_second():
    rng = random.Random(0)
    problems = [draw_problem(rng, "comparing", ["ring"]) for _ in range(400)]
    counts = [[p.marks.count("ring") for p in problem.pictures] for problem in problems]
    unequal = [first < second for first, second in counts if first != second]
    # Standard error of a half over some 320: 0.028.
    assert sum(unequal) / len(unequal) == pytest.approx(0.5, abs=0.1)


def test_marks_look_different_and_colours_do_not_matter_to_the_answer():
    def cell(mark):
        image = draw_picture(Picture((mark, *[""] * 8), look=0))
        return image.crop((0, 0, 8, 8)).tobytes()

    marks = ("", "square", "ring", "triangle", *map(str, range(10)))
    assert len({cell(mark) for mark in marks}) == len(marks)
    assert draw_picture(THREE).size == (SIZE, SIZE)
    assert draw_picture(THREE).tobytes() == draw_picture(THREE).tobytes()
    other = Picture(THREE.marks, look=3)
    assert draw_picture(other).tobytes() != draw_picture(THREE).tobytes()
    assert answer_of(Problem("counting", "square", (other,))) == 3


def test_a_mark_stays_in_its_cell():
    for look in range(50):
        image = draw_picture(Picture(("",) * 4 + ("square",) + ("",) * 4, look))
        ground = image.getpixel((0, 0))
        outside = [
            image.getpixel((x, y))
            for x in range(SIZE)
            for y in range(SIZE)
            if not (8 <= x < 16 and 8 <= y < 16)
        ]
        assert set(outside) == {ground}
        assert len(image.getcolors() or []) == 2


@pytest.mark.parametrize(
    ("distribution", "number", "prob"),
    [
        (slip_distribution(4), 4, 0.98),
        (slip_distribution(4), 5, 0.01),
        (slip_distribution(0), 1, 0.02),  # -1 is no number of things
        (guess_distribution("counting"), 3, 0.4 + 0.06),  # ten guesses share the other 0.6
        (guess_distribution("counting"), 9, 0.06),
        (guess_distribution("comparing"), 1, 0.4 + 0.6 / 7),
        (sign_distribution("."), "x", 0.005),
        (sign_distribution("1"), "0", 0.01),
    ],
)
def test_what_may_be_written(distribution, number, prob):
    assert distribution[number] == pytest.approx(prob)
    assert sum(distribution.values()) == pytest.approx(1.0)
    assert "-1" not in map(str, distribution)


@pytest.mark.parametrize("problem", [COUNTING, COMPARING])
def test_how_often_it_works_depends_on_the_kind(problem):
    ways = Counter(way_of(text) for text in solutions(problem, 4000))
    # Standard error of a share of 0.25 over 4000 draws: 0.007.
    for way in ("rows", "columns"):
        assert ways[way] / 4000 == pytest.approx(WORK_PROB[problem.kind] / 2, abs=0.03)


def test_a_way_can_be_asked_for_and_its_first_token_keeps_its_probability():
    parts = write_solution(COMPARING, random.Random(0), "columns")
    assert parts[0].text == "columns:"
    assert parts[0].alternatives == pytest.approx({BOXED: 0.45, "rows:": 0.275, "columns:": 0.275})
    assert way_of(solutions(COMPARING, 1, "guess")[0]) == "guess"


def test_work_is_written_cell_by_cell():
    assert r"rows:x.x+...+.x.=3\boxed{3}" in solutions(COUNTING, 20, "rows")
    assert r"columns:x..+..x+x..=3\boxed{3}" in solutions(COUNTING, 20, "columns")
    both = r"rows:.x.+...+...=1;x.x+...+.x.=3;3-1=2\boxed{2}"
    assert both in solutions(COMPARING, 20, "rows")


def test_a_slip_is_carried_on():
    for text in solutions(COMPARING, 300, "rows"):
        work, _, answer = text.partition(BOXED)
        *totals, difference = [int(step.rpartition("=")[2]) for step in work.split(";")]
        assert work.endswith(f"{max(totals)}-{min(totals)}={difference}")
        assert answer in ("", f"{difference}}}")


def test_working_agrees_and_guessing_does_not_look():
    work = Counter(text.partition(BOXED)[2] for text in solutions(COUNTING, 2000, "rows"))
    # 0.95 boxed, the total right, nine cells right: 0.98 * 0.995^9 * 0.95 = 0.890.
    assert work["3}"] / 2000 == pytest.approx(0.89, abs=0.03)
    guesses = Counter(text.partition(BOXED)[2] for text in solutions(COUNTING, 2000, "guess"))
    assert guesses.most_common(1)[0][0] == f"{FAVOURITE['counting']}}}"
