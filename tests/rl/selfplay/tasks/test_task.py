"""The three tasks: what they take for a question, for an answer, and for right."""

import json
import random
import time

import pytest

from rl.errors import InputError
from rl.selfplay.proposals import BAD_FORMAT, UNUSABLE_ANSWER, Proposal
from rl.selfplay.tasks.document_qa import DocumentQA
from rl.selfplay.tasks.financial_math import FinancialMath, read_number, same_number
from rl.selfplay.tasks.multiple_choice import MultipleChoice
from rl.selfplay.tasks.task import get_task, normalize_text, read_final_answer

OPTIONS = {"A": "one", "B": "two", "C": "three", "D": "four"}


def read(task, value, seed=0):
    text = value if isinstance(value, str) else json.dumps(value)
    return task.read_proposal(text, random.Random(seed), lambda text: len(text.split()))


@pytest.mark.parametrize("name", ["document_qa", "financial_math", "multiple_choice"])
def test_tasks_are_found_by_name(name):
    assert get_task(name).name == name
    with pytest.raises(InputError, match=r"selfplay task: got 'document_q', .*Did you mean"):
        get_task("document_q")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("Paris", None),
        ("The answer is Paris.", "Paris"),
        ("The answer is 7. Wait, the ANSWER IS 8.\nBecause.", "8"),
        ("**Answer:** Paris", "Paris"),
        ("**Answer**: Paris", "Paris"),
        ("The answer is:\n\n42\n", "42"),
        (r"the answer is $\boxed{42}$.", "42"),
        ("The answer is", None),
        ("the answer is 7<think>the answer is 8", "7"),
        ("<think>the answer is 7</think>8", None),
        ("my answer island", None),
        ("the answer is 3.5.", "3.5"),
    ],
    ids=range(13),
)
def test_final_answers(text, expected):
    assert read_final_answer(text) == expected


def test_long_texts_take_no_time():
    start = time.perf_counter()
    for text in ("answer " * 200_000, "answer" + " " * 1_000_000, "answer is " * 100_000):
        read_final_answer(text)
    assert time.perf_counter() - start < 2


# Documents.


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("Paris", "Paris", 1.0),
        ("the city of PARIS!", "Paris", 1.0),
        ("Paris", "in Paris", 0.0),  # one direction only
        ("Paris", "", 0.0),
        ("Paris", "The", 0.0),  # nothing is left of it
        ("16", "6", 1.0),  # characters, as published
        ("The Iliad, by Homer", "Iliad by Homer", 1.0),
        ("word " * 101 + "Paris", "Paris", 1.0),
        ("他出生于北京。", "北京", 1.0),
        ("北京", "「北京」", 1.0),  # punctuation of any script
        ("他出生于南京", "北京", 0.0),
        ("the senate\u2019s", "senate's", 1.0),
    ],
    ids=range(12),
)
def test_cover_exact_match(answer, reference, expected):
    assert DocumentQA().rule_check(answer, reference) == expected


def test_options_of_the_match():
    words = DocumentQA(match="words")
    assert words.rule_check("16", "6") == words.rule_check("parisian", "paris") == 0.0
    assert words.rule_check("the city of Paris", "Paris") == 1.0
    # Where no spaces stand between words, characters are words.
    assert words.rule_check("他出生于北京。", "北京") == words.rule_check("1958年", "1958") == 1.0
    assert words.rule_check("他出生于北京16", "6") == 0.0
    short = DocumentQA(max_answer_words=3)
    assert short.rule_check("a city named Paris", "Paris") == 1.0  # an article is no word
    assert short.rule_check("one city named Paris", "Paris") == 0.0
    several = DocumentQA(refuse_candidates=True)
    assert several.rule_check("Paris or Rome", "Paris") == 0.0
    assert several.rule_check("Paris; Rome", "Paris") == 0.0
    assert several.rule_check("the Paris/Rome express", "Paris/Rome") == 1.0
    assert several.rule_check("Paris", "Paris") == 1.0
    with pytest.raises(InputError, match="match: got 'word', expected 'substring' or"):
        DocumentQA(match="word")


def test_document_questions():
    task = DocumentQA(max_reference_tokens=3)
    assert read(task, {"question": "Who?", "answer": "Homer"}) == Proposal(
        question="Who?", answer="Homer"
    )
    assert read(task, {"question": "How many?", "answer": 7}).answer == "7"
    assert read(task, {"question": "Who?", "answer": "one two three four"}) == UNUSABLE_ANSWER
    assert read(task, {"question": "Who?", "answer": "..."}) == UNUSABLE_ANSWER
    for bad in ("", {"question": "Who?"}, {"question": "", "answer": "x"}, [1]):
        assert read(task, bad) == BAD_FORMAT
    assert read(task, {"question": ["Who?"], "answer": "x"}) == BAD_FORMAT


def test_normalisation():
    assert normalize_text("") == ""
    assert normalize_text("A man, the plan; an  Canal!") == "man plan canal"


# Numbers.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        ("-1,234.50", -1234.5),
        ("$1.2 million", 1.2e6),
        ("US$3bn", 3.0),  # an abbreviation is a unit; the rescaling rule covers it
        ("12.5%", 12.5),
        ("12.5 percent", 12.5),
        ("(3.2)", -3.2),
        ("\u22125", -5.0),
        ("3e2", 300.0),
        ("€ 5 per share", 5.0),
        ("$-5", -5.0),
        ("7.", 7.0),
        ("", None),
        ("seven", None),
        # As the published rule reads them.
        (r"12.5\%", 12.5),
        ("12.5 (rounded)", 12.5),
        ("12.5% of 2020's revenue", 12.5),
        ("approximately 12.5 million dollars", 12.5e6),
        ("x = 3 + 4 = 7", 7.0),
        (r"\approx 12.5", 12.5),
        (r"\$1.2 \text{ million}", 1.2e6),
        (r"45{,}000", 45000.0),
        ("USD 45,000", 45000.0),
        (r"1.25 \times 10^{6}", 1.25e6),
        (".5", 0.5),
        ("5 or 6", 5.0),
        # A scale word belongs to the number it follows.
        ("12.5 (in thousands)", 12.5),
        # Expressions are no number.
        ("1/2", None),
        (r"\frac{1}{2}", None),
        ("5 - 6", None),
        ("2+2", None),
        ("9^9^9", None),
        ("__import__('os')", None),
        ("1,23", None),
        ("(5", None),
        ("9" * 31, None),
        ("1e999", None),
        ("7" + " a" * 1_000_000, 7.0),
    ],
    ids=range(38),
)
def test_numbers_are_read_never_evaluated(text, expected):
    assert read_number(text) == expected


def test_hostile_numbers_take_no_time():
    start = time.perf_counter()
    for text in ("9" * 1_000_000, "7" + "a" * 59, "(" * 60, "1,111" * 12, "a" * 60):
        read_number(text)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (100.15, 100.0, True),  # exactly 0.15 %
        (100.16, 100.0, False),
        (0.125, 12.5, True),  # x 100
        (1250.0, 12.5, True),
        (12.5e6, 12.5, True),
        (12.5e9, 12.5, True),
        (125.0, 12.5, False),  # x 10 is an error
        (-12.5, 12.5, False),
        (0.0124, 0.0129, True),  # both 0.013, rounded up
        (0.0123, 0.0119, False),  # 0.013 and 0.012
        (0.0001, 0.0004, False),  # nothing but rounding is left of them
        (-0.0124, 0.0129, False),
        (0.0, 12.5, False),
        (0.0, 0.0, True),
        (float("nan"), 1.0, False),
        (float("inf"), float("inf"), False),
    ],
)
def test_same_numbers(ours, theirs, expected):
    assert same_number(ours, theirs) == expected


def test_financial_questions():
    task = FinancialMath()
    assert read(task, '{"question": "Q", "answer": 1.50}').answer == "1.50"
    assert read(task, {"question": "Q", "answer": "$3 million"}).answer == "$3 million"
    for unusable in (0, "0.0%", "several", "9^9^9"):
        assert read(task, {"question": "Q", "answer": unusable}) == UNUSABLE_ANSWER
    assert read(task, {"question": "Q"}) == BAD_FORMAT
    assert task.rule_check("3,000,000", "$3 million") == 1.0
    assert task.rule_check("three", "3") == 0.0
    # A box is read wherever it stands.
    for text in (r"So \boxed{12.5\%}.", "The answer is 12.5 (rounded).", r"Answer: \boxed{\$12.5}"):
        assert task.rule_check(task.read_answer(text), "12.5") == 1.0
    assert task.read_answer("12.5") is None
    assert FinancialMath(tolerance=0.1).rule_check("105", "100") == 1.0


# Letters.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is B.", "B"),
        ("The answer is (b) two", "B"),
        ("The answer is **C**", "C"),
        ("The answer is option D: four", "D"),
        ("The correct answer is the letter b", "B"),
        ("The answer is c.", "C"),
        (r"Hence \boxed{\text{A}}", "A"),
        ("The answer is a city", None),
        ("The answer is a Roman city, so B", None),
        ("The answer is Alabama", None),
        ("The answer is C's", None),
        ("The answer is E", None),
        ("B", None),
    ],
    ids=range(13),
)
def test_letters(text, expected):
    assert MultipleChoice().read_answer(text) == expected


def test_options_are_shuffled_with_their_letter():
    task = MultipleChoice()
    value = {"question": "Q", "options": OPTIONS, "answer": "B"}
    orders = {}
    for seed in range(40):
        proposal = read(task, value, seed)
        assert list(proposal.options) == list("ABCD")
        assert sorted(proposal.options.values()) == sorted(OPTIONS.values())
        assert proposal.options[proposal.answer] == "two"
        orders[tuple(proposal.options.values())] = proposal.answer
        assert proposal == read(task, value, seed)
    assert set(orders.values()) == set("ABCD")
    plain = read(MultipleChoice(shuffle_options=False), value)
    assert (plain.options, plain.answer) == (OPTIONS, "B")
    assert task.show_question(plain) == "Q\nA. one\nB. two\nC. three\nD. four"
    assert task.show_answer(plain, "B") == "B. two"
    assert (task.rule_check("B", "B"), task.rule_check("B", "C")) == (1.0, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "E"},
        {"answer": "AB"},
        {"answer": "a"},
        {"options": list(OPTIONS.values())},
        {"options": {**OPTIONS, "E": "five"}},
        {"options": {"A": "one", "B": "two", "C": "three"}},
        {"options": {**OPTIONS, "D": ""}},
        {"options": {**OPTIONS, "D": "One!"}},
        {"options": {**OPTIONS, "D": ["four"]}},
        {"question": None},
    ],
    ids=range(10),
)
def test_choices_have_four_different_options(change):
    value = {"question": "Q", "options": OPTIONS, "answer": "B", **change}
    assert read(MultipleChoice(), value) == BAD_FORMAT
