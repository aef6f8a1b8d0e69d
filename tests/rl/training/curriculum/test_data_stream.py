"""Files one after the other: which rows are whose turn."""

import json

import pytest

from rl.errors import InputError
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.data_stream import DataStream

PROMPTS = [
    PromptFact(prompt_id=str(row), rendered="", row=row, part=part)
    for row, part in enumerate([0, 0, 1, 2, 2])
]


def test_each_file_has_its_epochs_and_the_last_goes_on():
    stream = DataStream(epochs=2)
    turns = [stream.order([4, 3, 2, 1, 0], PROMPTS) for _ in range(8)]
    assert turns == [[1, 0], [1, 0], [2], [2], [4, 3], [4, 3], [4, 3], [4, 3]]


def test_it_goes_on_from_a_state():
    stream = DataStream()
    stream.order([0, 1, 2, 3, 4], PROMPTS)
    again = DataStream()
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert again.order([0, 1, 2, 3, 4], PROMPTS) == [2]


def test_a_single_file_is_no_stream():
    with pytest.raises(InputError, match="got the prompts of one file, expected several"):
        DataStream().order([0, 1], PROMPTS[:2])


def test_it_says_which_file_it_visits_and_when_another_follows():
    stream = DataStream(epochs=2)
    assert (stream.part, stream.is_last_epoch) == (0, False)  # before the first epoch
    told = []
    for _ in range(7):
        stream.order([0, 1, 2, 3, 4], PROMPTS)
        told.append((stream.part, stream.is_last_epoch))
    # After the last file comes none.
    first, second, last = [(0, False), (0, True)], [(1, False), (1, True)], [(2, False)] * 3
    assert told == [*first, *second, *last]
    again = DataStream(epochs=2)
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert (again.part, again.is_last_epoch) == (2, False)
