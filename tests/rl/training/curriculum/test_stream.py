"""Rows epoch by epoch, in the curriculum's order, from any place."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from rl.errors import InputError
from rl.training.curriculum.registry import Curricula
from rl.training.curriculum.stream import PromptStream, check_first_epoch
from rl.training.prompt_order import PromptSampler


class Easiest:
    """Backwards, and after the first epoch without row 0."""

    def __init__(self):
        self.epochs = 0

    def order(self, rows, prompts):
        self.epochs += 1
        return sorted(rows, reverse=True)[: len(rows) - (self.epochs > 1)]


def make_stream(rules, num_prompts=2, num_rows=5, shuffle=False):
    columns = {"prompt_id": [f"p{i}" for i in range(num_rows)], "row": list(range(num_rows))}
    prompts = Dataset.from_dict({**columns, "rendered_prompt": columns["prompt_id"]})
    config = config_of(num_prompts=num_prompts, shuffle_dataset=shuffle)
    return PromptStream(prompts, config, Curricula(rules))


def config_of(**settings) -> Any:
    return SimpleNamespace(
        **{
            "num_prompts": 2,
            "num_generations": 4,
            "num_iterations": 1,
            "num_updates": 1,
            "max_steps": -1,
            "num_train_epochs": 3,
            "steps_per_generation": 1,
            "shuffle_dataset": False,
            "seed": 3,
            **settings,
        }
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([0, 0, 1, 1, 2, 2, 2], None),
        ([0, 0, 0, 0, 1, 2, 2], "got 1 prompts of b that are not too long, expected at least num"),
        ([1, 1, 1, 2, 2], "got 0 prompts of a that"),  # or b would be measured as if it were a
        ([0, 0, 1, 1], "got 0 prompts of c that"),
    ],
)
def test_each_file_of_a_stream_fills_a_batch(parts, message):
    names = [f"p{i}" for i in range(len(parts))]
    columns = {"prompt_id": names, "rendered_prompt": names, "row": list(range(len(parts)))}
    prompts = Dataset.from_dict({**columns, "part": parts})
    config = config_of(curriculum={"data_stream": None}, dataset=["a", "b", "c"])
    with nullcontext() if message is None else pytest.raises(InputError, match=message):
        check_first_epoch(prompts, config)
    # A mixture visits them together.
    check_first_epoch(prompts, config_of(curriculum={"easy_first": None}, dataset=["a", "b", "c"]))


# Files of 2, 4 and 5 prompts, 2 a batch: 1, 2 and 2 batches an epoch; in 2 epochs 2 + 4 + 4. Two
# updates a batch are 12 steps before the last file and 20 with it. All 11 prompts, in no stream,
# are 5 batches an epoch.
@pytest.mark.parametrize(
    ("length", "got"),
    [
        ({"max_steps": 13}, None),
        ({"max_steps": 12}, 12),
        ({"num_train_epochs": 2}, None),  # 20 steps
        ({"num_train_epochs": 1.2}, 12),
    ],
)
def test_a_stream_reaches_its_last_file(length, got):
    parts = [0] * 2 + [1] * 4 + [2] * 5
    names = [f"p{i}" for i in range(len(parts))]
    columns = {"prompt_id": names, "rendered_prompt": names, "row": list(range(len(parts)))}
    prompts = Dataset.from_dict({**columns, "part": parts})
    settings = {"curriculum": {"data_stream": {"epochs": 2}}, "dataset": ["a", "b", "c"]}
    config = config_of(**settings, num_updates=2, **length)
    message = f"max_steps: got a run of {got} .* more than 12, .* Set max_steps to 20"
    with nullcontext() if got is None else pytest.raises(InputError, match=message):
        check_first_epoch(prompts, config)


def test_without_a_rule_the_rows_are_those_of_the_trainers_own_order():
    stream = make_stream({}, shuffle=True)
    sampler = PromptSampler(range(5), 2, 4, 1, shuffle=True, seed=3)
    assert [stream.next_batch() for _ in range(5)] == [sampler.batch(n) for n in range(5)]


def test_an_epoch_ends_where_no_batch_is_full():
    stream = make_stream({"easiest": Easiest()})
    assert [stream.next_batch() for _ in range(4)] == [[4, 3], [2, 1], [4, 3], [2, 1]]
    assert stream.epoch == 1
    stream = make_stream({})
    assert (stream.next_batch(), stream.more(2), stream.more(2), stream.more(2)) == (
        [0, 1],
        [2, 3],
        [4],
        [],
    )
    assert stream.next_batch() == [0, 1]


def test_a_place_is_plain_json_and_can_be_gone_on_from():
    whole = make_stream({}, shuffle=True)
    whole.next_batch()
    whole.more(1)
    again = make_stream({}, shuffle=True)
    again.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    assert [again.next_batch() for _ in range(4)] == [whole.next_batch() for _ in range(4)]


def test_too_few_prompts_are_refused():
    stream = make_stream({"easiest": Easiest()}, num_prompts=5)
    assert stream.next_batch() == [4, 3, 2, 1, 0]
    with pytest.raises(InputError, match="got 4 prompts in an epoch, expected at least num_pro"):
        stream.next_batch()
