"""Rows epoch by epoch, in the curriculum's order, from any place."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset

from rl.errors import InputError
from rl.training.curriculum.registry import Curricula
from rl.training.curriculum.stream import PromptStream
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
    config = SimpleNamespace(
        num_prompts=num_prompts,
        num_generations=4,
        num_iterations=1,
        steps_per_generation=1,
        shuffle_dataset=shuffle,
        seed=3,
    )
    return PromptStream(prompts, config, Curricula(rules))


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
