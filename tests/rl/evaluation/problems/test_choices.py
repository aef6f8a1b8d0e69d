"""Options of a multiple choice: from every shape of cells, shuffled, with the right letter."""

import pytest

from rl.errors import InputError
from rl.evaluation.problems.choices import choice_options, read_choices

FOUR = ["Neon", "Iron", "Zinc", "Lead"]


def test_options_come_from_a_list_an_object_or_a_cell_each():
    for cells in ([FOUR], FOUR, [dict(zip("ABCD", FOUR, strict=True))]):
        assert choice_options(cells, "row 0") == FOUR
    # A table of objects fills what one lacks with nothing.
    assert choice_options([{"A": "x", "B": "y", "C": None}], "row 0") == ["x", "y"]


@pytest.mark.parametrize(
    "cells",
    [[], ["one"], [["a", " "]], [["a", None]], [{"A": "x"}], [{"A": "x", "C": "y"}], [["x"] * 27]],
)
def test_what_is_no_list_of_options_is_refused(cells):
    with pytest.raises(InputError, match=r"options in row 3: got .*, expected a list of 2 to 26"):
        choice_options(cells, "row 3")


@pytest.mark.parametrize(
    ("label", "options", "label_is", "letter"),
    [
        ("C", FOUR, None, "C"),
        ("(C)", FOUR, None, "C"),
        ("Zinc", FOUR, None, "C"),
        ("Zinc", FOUR, "text", "C"),
        ("2", FOUR, "index", "C"),
        ("C", ["C", "B", "A"], "letter", "C"),
        ("C", ["C", "B", "A"], "text", "A"),
        ("B", ["C", "B", "A"], None, "B"),  # both readings are the same option
        ("(C)", ["C", "B", "A"], None, "C"),
        ("1", ["2", "1", "0"], "index", "B"),
        ("1", ["2", "0", "1"], None, "C"),  # a place only where a benchmark says so
        ("J", [str(n) for n in range(10)], "letter", "J"),
    ],
)
def test_a_label_is_a_letter_a_text_or_a_place(label, options, label_is, letter):
    assert read_choices(label, [options], "row 0", label_is=label_is).label == letter


def test_the_label_of_an_object_is_one_of_its_letters():
    options = {"A": "C", "B": "D", "C": "A"}  # the letters of a picture, in another order
    assert read_choices("C", [options], "row 0").label == "C"


@pytest.mark.parametrize(
    ("label", "label_is", "rule"),
    [
        ("E", None, "a letter up to D or one of the options"),
        ("zinc", None, "a letter up to D or one of the options"),
        ("Zinc", "letter", "a letter up to D"),
        ("C", "text", "one of the options"),
        ("4", "index", "the place of an option, 0 to 3"),
        ("-1", "index", "the place of an option"),
        ("A", "index", "the place of an option"),
    ],
)
def test_a_label_of_no_option_is_refused(label, label_is, rule):
    with pytest.raises(InputError, match=rf"label in row 0: got '{label}', expected {rule}"):
        read_choices(label, [FOUR], "row 0", label_is=label_is)


def test_a_label_that_may_be_two_options_is_refused():
    with pytest.raises(InputError, match=r"got 'C', expected not the letter of one option and"):
        read_choices("C", [["C", "B", "A"]], "row 0")


def test_shuffled_options_keep_their_label():
    found = [read_choices("Zinc", [FOUR], "row 0", seed=seed) for seed in range(40)]
    assert {one.label for one in found} == set("ABCD")
    for one in found:
        assert one.options["ABCD".index(one.label)] == "Zinc"
        assert sorted(one.options) == sorted(FOUR)
    again = read_choices("Zinc", [FOUR], "row 0", seed=7)
    assert (again.options, again.label) == (found[7].options, found[7].label)


def test_a_global_random_state_is_neither_read_nor_moved():
    import random

    random.seed(3)
    before = random.getstate()
    first = read_choices("Zinc", [FOUR], "row 0", seed=5)
    assert random.getstate() == before
    random.seed(4)
    assert read_choices("Zinc", [FOUR], "row 0", seed=5) == first


def test_the_lines_of_options():
    found = read_choices("x", [["x", "{letter}"]], "row 0")
    assert (found.letters, found.lines()) == ("AB", "A) x\nB) {letter}")
    assert found.lines("({letter}) {text}") == "(A) x\n(B) {letter}"
