r"""Which boxes of a completion are the answer; single boxes are in test_extraction.py."""

import pytest

from rl.answers.boxes import find_boxed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"The roots are \boxed{2} and \boxed{3}.", "2, 3"),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
        (r"$\boxed{(4,1)} \quad \text{or} \quad \boxed{(1,4)}$", "(4,1), (1,4)"),
        (r"\(x = \boxed{5}\) and \(y_{2} = \boxed{\frac{1}{3}}\)", r"5, \frac{1}{3}"),
        (r"$\boxed{6} \text{ for part (a) and } \boxed{7}$", "6, 7"),
        (r"\boxed{3} cats and \boxed{4} dogs", "3, 4"),
        (r"$\boxed{8}\boxed{9}$", "8, 9"),
        (r"An early \boxed{0}. So: \boxed{2}; \boxed{3}", "2, 3"),
        (r"\boxed{5} and \boxed{5}", "5"),
    ],
)
def test_boxes_of_one_list_are_one_answer(text, answer):
    assert find_boxed(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        r"We get \boxed{3}. Then \boxed{7}.",
        r"We get \boxed{3}, so the answer is \boxed{7}",
        r"\boxed{3}, no: \boxed{7}",
        r"\boxed{3} is wrong and \boxed{7}",
        r"\boxed{3} and then \boxed{7}",
        r"\boxed{3} = \boxed{7}",
        r"$m = \boxed{3}$, and $m+n = \boxed{7}$",
        r"The maximum is \boxed{3}, and the minimum is \boxed{7}",
        "\\[\n\\boxed{3}\n\\]\n\\[\n\\boxed{7}\n\\]",
        "\\boxed{3} and\n\n\\boxed{7}",
        r"\boxed{3} one two three four five and \boxed{7}",
        r"\boxed{3}" + " " * 100 + r"\boxed{7}",
        r"\boxed{x = \boxed{7}}",
    ],
)
def test_a_box_of_another_statement_is_left_out(text):
    assert find_boxed(text) == "7"


def test_a_long_list_is_cut():
    # A policy that collapsed into boxes does not make an answer of a thousand items.
    text = " ".join(rf"\boxed{{{number}}}" for number in range(1_000))
    assert find_boxed(text) == ", ".join(map(str, range(984, 1_000)))
