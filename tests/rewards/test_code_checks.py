"""Programs found in text, what they print, and what that says of an answer."""

import pytest

from rewards.code_checks import (
    Check,
    check_answers,
    check_metrics,
    printed_answers,
    printed_parts,
    python_blocks,
)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        ("```python\nprint(2)\n```", ["print(2)"]),
        ("```py\na = 1\n```\nthen\n``` Python\nprint(a)\n```", ["a = 1", "print(a)"]),
        ("  ```python\n  print(2)\n  ```", ["print(2)"]),
        (
            "1. So\n   ```python\n   for i in [2]:\n       print(i)\n\n   ```",
            ["for i in [2]:\n    print(i)\n"],
        ),
        ("  ```python\nif 1:\n  print(2)\n  ```", ["if 1:\n  print(2)"]),
        ("```python\n```", [""]),
        ("```python\nprint(2)", []),  # cut off
        ("```python\na = 1\n```python\nb = 2\n```", ["b = 2"]),
        ("```python\na = 1\n```output\n1\n```", []),  # not closed
        ("```python\na = 1\n```output\n1\n```\n```py\nb\n```", ["b"]),
        ("```\nprint(2)\n```", []),  # of no kind
        ("```output\n2\n```\n```pythonic\nx\n```", []),
        ("say ```python\nprint(2)\n```", []),
    ],
)
def test_blocks(text, blocks):
    assert python_blocks(text) == blocks


def test_a_runaway_text_is_read_in_no_time():
    for text in ("```python\n" * 100_000, " " * 10**6 + "```", "`" * 10**6, "\n" * 10**6):
        assert python_blocks(text) == []


@pytest.mark.parametrize(
    ("stdout", "answers"),
    [
        ("", []),
        ("\n \n", []),
        ("2\n", ["2"]),
        ("n is\n 3/4 \n\n", ["3/4"]),
        ("\\boxed{7}\nchecked\n", ["7"]),
        ("The answer is 12.\n", ["12"]),
        ("[1, 2]\n", ["[1, 2]", "1, 2"]),
        ("1" * 301, []),
        ("<think>2\n", ["<think>2"]),
    ],
)
def test_printed_answers(stdout, answers):
    assert printed_answers(stdout) == answers


@pytest.mark.parametrize(
    ("stdout", "parts"),
    [
        ("", []),
        ("7\n", []),  # one value is the whole line
        ("1 2\n(3, [4, 5])\n\n", ["3", "[4, 5]"]),
        ("('Ann', 3.5)", ["Ann", "3.5"]),
        ("[]", []),
        ("{1, 2}", ["{1,", "2}"]),  # a set is one answer, as a whole
        ("n: 3: 4", ["4"]),
        ("so 12", ["so", "12"]),
        ("1, " * 15 + "1", ["1,"] * 15 + ["1"]),
        ("1 " * 17, []),
        ("1 " * 151, []),  # over 300 characters
    ],
)
def test_printed_parts(stdout, parts):
    assert printed_parts(stdout) == parts


def check(program, answer):
    [found] = check_answers([program], [answer], 5.0, 60.0)
    return found


@pytest.mark.parametrize(
    ("program", "answer", "is_verified"),
    [
        ("print(6 * 7)", "42", True),
        ("print(6 * 7)", "43", False),
        ("print(1 / 4)", r"\frac{1}{4}", True),
        ("from fractions import Fraction; print(Fraction(3, 4))", "0.75", True),
        ("import sympy; print(sympy.sqrt(8))", r"2\sqrt{2}", True),
        ("import math; print(math.sqrt(8))", r"2\sqrt{2}", True),  # to all its digits
        ("print(2.83)", r"2\sqrt{2}", False),
        ("print([1, 2])", "1, 2", True),
        ("print([0, 1])", "[0, 1]", True),
        ("print('42')\nprint()", "42", True),
        ("print(42)\nraise ValueError", "42", False),  # it did not finish
        ("x = 42", "42", False),
        ("print(None)", "42", False),
    ],
)
def test_an_answer_is_verified_if_its_program_prints_it(program, answer, is_verified):
    assert check(program, answer).is_verified is is_verified


def test_without_a_program_or_an_answer_nothing_is_run():
    none = Check(ended=None, is_verified=False)
    assert check_answers([], [], 1.0, 1.0) == []
    assert check_answers([None, "print(2)", None], ["2", None, None], 1.0, 1.0) == [none] * 3


def test_each_check_belongs_to_its_answer():
    checks = check_answers(["print(2)", None, "1 / 0", "print(3)"], ["2", "2", "2", "2"], 5.0, 60.0)
    ended = [("finished", True), (None, False), ("failed", False), ("finished", False)]
    assert [(c.ended, c.is_verified) for c in checks] == ended


def test_metrics_by_hand():
    ended = [
        "finished",
        "finished",
        "failed",
        "printed_too_much",
        "timed_out",
        "not_run",
        None,
        None,
    ]
    checks = [Check(ended=e, is_verified=i == 0) for i, e in enumerate(ended)]
    assert check_metrics(checks) == {
        "verified_frac": 1 / 8,
        "program_frac": 6 / 8,
        "refuted_frac": 1 / 6,
        "failed_frac": 2 / 6,
        "timed_out_frac": 1 / 6,
        "not_run_frac": 1 / 6,
    }
    assert check_metrics(checks[-1:]) == {"verified_frac": 0.0, "program_frac": 0.0}
    assert check_metrics([]) == {}
