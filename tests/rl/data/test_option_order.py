"""Orders of options: seeded, and with what speaks of the other options where it makes sense."""

from collections import Counter
from random import Random

import pytest

from rl.data.option_order import listed_options, option_order, with_option_order


def orders(options, num=60):
    return [option_order(options, Random(seed)) for seed in range(num)]


def test_every_order_comes_up():
    # 600 draws of 6 orders: 100 of each, +- 9; none is left out.
    counts = Counter(map(tuple, orders(["x", "y", "z"], 600)))
    assert len(counts) == 6
    assert min(counts.values()) > 60
    assert orders([]) == [[]] * 60
    assert orders(["x"]) == [[0]] * 60


@pytest.mark.parametrize(
    "text",
    [
        "None of the above",
        "all of these",
        "None of the above are right",
        "Neither of these options",
    ],
)
def test_what_speaks_of_all_others_stands_last(text):
    # It was the second of four. Of two such the one that came first comes first.
    found = orders(["x", text, "y", "z"])
    assert {order[-1] for order in found} == {1}
    assert {tuple(order[:3]) for order in found} == {
        *((0, 2, 3), (0, 3, 2), (2, 0, 3), (2, 3, 0), (3, 0, 2), (3, 2, 0))
    }
    assert {tuple(order[-2:]) for order in orders([text, "x", "None of them"])} == {(0, 2)}


@pytest.mark.parametrize(
    "text", ["Both A and B", "A and C", "A, B and C only", "(A) or (B)", "Neither A nor B."]
)
def test_where_an_option_names_others_all_keep_their_places(text):
    assert orders(["x", "y", "z", text]) == [[0, 1, 2, 3]] * 60
    # Without an order of the source no letter is anyone's name.
    free = [option_order(["x", "y", text], Random(s), have_letters=False) for s in range(60)]
    assert len(set(map(tuple, free))) == 6


@pytest.mark.parametrize(
    "text", ["All of the patients", "None", "C", "Vitamin A and D", "Hepatitis A", "I and II"]
)
def test_other_texts_are_shuffled(text):
    assert {order.index(3) for order in orders(["x", "y", "z", text])} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", None),
        ("Which?\nA. 3", None),
        ("Which?\nA. 3\nC. 4", None),
        ("Which?\nA. 3\nB) 4\n\n(C) 5", ["3", "4", "5"]),
        ("A. first\nB. list\nWhich?\n  A: 3\n  B: 4", ["3", "4"]),  # the last ones
        ("I. 3\nII. 4", None),
    ],
)
def test_options_are_lines_with_letters(text, options):
    assert listed_options(text) == options


def test_letters_stay_and_texts_change_places():
    text = "Which?\n (A) x\nB: y\nC. z\nSay why."
    assert with_option_order(text, [2, 0, 1]) == "Which?\n (A) z\nB: x\nC. y\nSay why."
    assert with_option_order(text, [0, 1, 2]) == text
