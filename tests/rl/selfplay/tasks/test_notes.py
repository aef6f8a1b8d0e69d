import random

from rl.selfplay.proposals import BAD_FORMAT, UNUSABLE_ANSWER, Proposal
from rl.selfplay.tasks.notes import NotesTask

TASK = NotesTask()


def read(text):
    return TASK.read_proposal(text, random.Random(0), len)


def test_questions_are_read():
    assert read('a7;{"q":"a+b","a":10}') == Proposal(question="a+b", answer="10")
    assert read('{"q":"a","a":7}').question == "a"
    assert read('{"q":"a*b","a":21}').answer == "21"
    bad_ones = ['{"q":"a+b","a":10', '"q":"a+b","a":10}']
    bad_ones += [f'{{"q":"{question}","a":4}}' for question in ("a-b", "a+", "a*b*c", "a+b*c")]
    for bad in bad_ones:
        assert read(bad) == BAD_FORMAT
    assert read('{"q":"a+b","a":110}') == UNUSABLE_ANSWER


def test_answers_are_read_and_checked():
    assert TASK.read_answer(r"a7;7+3=10\boxed{10}") == "10"
    assert TASK.read_answer("a7;7+3=10") is None
    assert TASK.read_answer(r"\boxed{1234567890}") is None
    assert [TASK.rule_check(answer, "10") for answer in ("10", "10.0", "11")] == [1.0, 0.0, 0.0]
