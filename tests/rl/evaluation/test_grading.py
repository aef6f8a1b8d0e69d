from dataclasses import replace

import pytest

from rl.evaluation.grading import grade, grader_version
from rl.evaluation.records import SampleRecord

SAMPLE = SampleRecord(
    problem_id="p",
    sample=0,
    seed=0,
    prompt_id="",
    completion="",
    num_tokens=1,
    truncated=False,
    label="4",
)


def graded(completions, **facts):
    samples = [replace(SAMPLE, completion=text, **facts) for text in completions]
    return [(s.answer, s.cluster, s.correct) for s in grade(samples)]


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"<think>\boxed{4}</think>So \boxed{5}.", "5"),
        (r"<think>\boxed{4} wait", None),  # cut off within the thought
        (r"<think>\boxed{4}</think>", None),  # nothing was said after it
        (r"\boxed{4}</think>\boxed{5}", "5"),  # the prompt opened the thought
        (r"\boxed{4}", "4"),  # no thought at all
    ],
)
def test_only_what_follows_a_thought_counts(completion, answer):
    assert graded([completion])[0][0] == answer


def test_where_the_prompt_opened_the_thought_an_answer_needs_its_end():
    completions = [r"\boxed{4}", r"\boxed{5}</think>\boxed{4}", r"</think>"]
    assert graded(completions, must_close_thought=True) == [
        (None, None, False),
        ("4", 0, True),
        (None, None, False),
    ]


def test_letters_are_the_same_if_they_are_equal():
    completions = [r"\boxed{B}", "The answer is (B).", "Answer: A", "So b it is", r"\boxed{E}"]
    assert graded(completions, label="B", choices="ABCD") == [
        ("B", 0, True),
        ("B", 0, True),
        ("A", 1, False),
        (None, None, False),
        (None, None, False),  # there is no E
    ]


def test_of_several_answers_each_is_right():
    completions = [r"\boxed{0.5}", r"\boxed{half}", r"\boxed{0.4}", "?"]
    assert graded(completions, label="1/2", aliases=("half",)) == [
        ("0.5", 0, True),
        ("half", 1, True),
        ("0.4", 2, False),
        (None, None, False),
    ]
    # Of a letter nothing else is.
    assert not graded([r"\boxed{C}"], label="B", choices="ABC", aliases=("C",))[0][2]


def test_an_option_that_is_a_number_is_no_letter():
    assert graded([r"\boxed{4}"], label="A", choices="AB") == [(None, None, False)]


def test_each_sample_says_which_rules_graded_it():
    [sample] = grade([SAMPLE])
    assert sample.grader == grader_version()
    assert len(grader_version()) == 12
