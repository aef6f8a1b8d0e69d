import random

from rl.testbed.selfplay_notes import (
    NUM_NOTES,
    about_numbers,
    draw_notes,
    draw_question,
    fill_form,
    form_of,
    gold_answer,
)

VALUES = {"a": 7, "b": 3, "c": 9, "d": 4}


def test_names_of_a_topic_differ():
    notes = draw_notes(random.Random(0))
    assert len(notes.values) == 9
    assert len(notes.texts) == NUM_NOTES


def test_a_question_is_of_its_form_and_about_different_names():
    rng = random.Random(0)
    for form in ("a", "a+b", "a*b", "a+b+c+d"):
        question = draw_question(form, VALUES, rng)
        assert form_of(question) == form
        names = question.replace("*", "+").split("+")
        assert len(set(names)) == len(names)
        assert set(names) <= set(VALUES)


def test_a_single_number_is_no_question():
    assert form_of(about_numbers("a", random.Random(0))) == "a+b"


def test_answers_by_hand():
    assert fill_form("a+b+c", ["d", "c"]) == "d+c+c"  # a place without a term keeps its letter
    answers = [gold_answer(question, VALUES) for question in ("a", "a*c", "a+b+c+d", "2*8", "a+5")]
    assert answers == ["7", "63", "23", "16", "12"]
