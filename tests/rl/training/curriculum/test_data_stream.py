"""Parts of a file one after the other: which rows are whose turn."""

import json

import pytest

from rl.errors import InputError
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.data_stream import DataStream

# Row 2 of the file was too long, and is no prompt.
PROMPTS = [PromptFact(prompt_id=str(row), rendered="", row=row) for row in (0, 1, 3, 4, 5)]


def test_each_part_has_its_epochs_and_the_last_goes_on():
    stream = DataStream(sizes=[2, 2, 2], epochs=2)
    turns = [stream.order([4, 3, 2, 1, 0], PROMPTS) for _ in range(8)]
    assert turns == [[1, 0], [1, 0], [2], [2], [4, 3], [4, 3], [4, 3], [4, 3]]


def test_it_goes_on_from_a_state():
    stream = DataStream(sizes=[3, 3])
    stream.order([0, 1, 2, 3, 4], PROMPTS)
    again = DataStream(sizes=[3, 3])
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert again.order([0, 1, 2, 3, 4], PROMPTS) == [2, 3, 4]


def test_rows_that_belong_to_no_part_are_refused():
    with pytest.raises(InputError, match="got 5 rows in all, expected at least the 6"):
        DataStream(sizes=[2, 3]).order([0], PROMPTS)
    with pytest.raises(InputError, match="sizes"):
        DataStream(sizes=[])
