"""Where an answer ends, and what a majority's states are less those of the others."""

import pytest
import torch

from rl.training.curriculum.answer_states import answer_place, difference_of_votes


@pytest.mark.parametrize(
    ("pieces", "place"),
    [
        ([""], 0),
        (["", ""], 0),
        (["7"], 0),
        (["7", ".", ""], 1),  # the end token writes nothing
        (["\\boxed{", "7", "}", " or so"], 2),
        (["\\boxed{", "1", "}", "\\boxed{", "2", "}", "."], 5),  # the last box
        (["\\boxed{", "1", "}", "\\boxed{", "2"], 2),  # that is closed
        (["\\boxed{", "\\frac{1}{", "2}", "}.", "x"], 3),
        (["\\boxed", "{1", "2}}", "x"], 2),
        (["\\boxed{", "7"], 1),
    ],
)
def test_the_place_of_an_answer(pieces, place):
    assert answer_place(pieces) == place


def test_the_majority_less_the_others():
    states = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0], [9.0, 9.0]])
    # The last has no answer and is on neither side: (2, 0) - (0, 4).
    found = difference_of_votes(states, [0, 0, 1, None])
    assert found is not None
    assert found.tolist() == [2.0, -4.0]


@pytest.mark.parametrize("clusters", [[], [None, None], [0, 0], [0, None]])
def test_where_nobody_differs_there_is_no_difference(clusters):
    assert difference_of_votes(torch.ones(len(clusters), 2), clusters) is None
