"""The order of prompts: TRL's layout, and a function of seed and epoch alone."""

import pytest
import torch
from accelerate import Accelerator, skip_first_batches
from torch.utils.data import DataLoader, TensorDataset
from trl.trainer.utils import RepeatSampler

from rl.training.prompt_order import PromptSampler

ROWS = TensorDataset(torch.arange(12))


def make_sampler(num_rows, num_prompts=2, num_generations=3, num_repeats=2, shuffle=True, seed=0):
    return PromptSampler(
        range(num_rows), num_prompts, num_generations, num_repeats, shuffle=shuffle, seed=seed
    )


def order(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("num_rows", [0, 1])
def test_too_few_rows_for_a_batch(num_rows):
    sampler = make_sampler(num_rows)
    assert list(sampler) == []
    assert len(sampler) == 0


def test_layout_by_hand():
    # Prompts 0 and 1, three rows each, the batch twice; row 4 fills no batch.
    batch = [0, 0, 0, 1, 1, 1]
    second = [2, 2, 2, 3, 3, 3]
    sampler = make_sampler(5, shuffle=False)
    assert list(sampler) == batch + batch + second + second
    assert len(sampler) == 24


def test_layout_is_that_of_trl():
    sampler = make_sampler(11, num_prompts=3, num_generations=4, num_repeats=2, shuffle=False)
    trl = RepeatSampler(range(11), 4, batch_size=3, repeat_count=2, shuffle=False)
    assert list(sampler) == list(trl)
    assert len(sampler) == len(trl)


def test_order_follows_from_seed_and_epoch_alone():
    sampler = make_sampler(40)
    first, second = order(sampler, 0), order(sampler, 1)
    # A fresh sampler that never saw epoch 0 has the same epoch 1, and iterating changes nothing.
    assert order(make_sampler(40), 1) == second == order(sampler, 1)
    assert order(sampler, 0) == first
    assert first != second
    assert order(make_sampler(40, seed=1), 0) not in (first, second)


def test_shuffling_visits_each_prompt_once():
    rows = order(make_sampler(40, num_prompts=4), 3)
    assert sorted(rows) == sorted([*range(40)] * 6)
    # Each batch of 4 prompts x 3 rows comes twice in a row.
    batches = [rows[start : start + 12] for start in range(0, 240, 12)]
    assert batches[0::2] == batches[1::2]
    assert [*dict.fromkeys(rows)] != [*range(40)]


def test_a_resumed_loader_goes_on_where_an_uninterrupted_one_would():
    def make_loader():
        sampler = make_sampler(12, num_generations=1, num_repeats=1)
        return Accelerator(cpu=True).prepare(DataLoader(ROWS, batch_size=2, sampler=sampler))

    def rows(loader):
        return [row for [batch] in loader for row in batch.tolist()]

    loader = make_loader()
    loader.set_epoch(0)
    first = rows(loader)
    loader.set_epoch(1)
    second = rows(loader)
    assert sorted(first) == sorted(second) == [*range(12)]
    assert first != second
    resumed = make_loader()
    resumed.set_epoch(1)
    assert rows(skip_first_batches(resumed, 2)) == second[4:]


def test_batches_by_number_are_those_of_the_epochs():
    # Seven rows in batches of two: three batches an epoch.
    sampler = make_sampler(7)
    rows = []
    for epoch in range(2):
        batch = 2 * 3 * 2  # prompts, generations, repeats
        whole = order(sampler, epoch)
        rows += [list(dict.fromkeys(whole[i : i + batch])) for i in range(0, 3 * batch, batch)]
    assert [sampler.batch(number) for number in range(6)] == rows


def test_wordings_of_a_problem_stay_together():
    # Three problems in two wordings, two problems a batch: the third fills none.
    sampler = PromptSampler(range(6), 4, 1, num_repeats=1, shuffle=False, seed=0, num_views=2)
    assert list(sampler) == [0, 1, 2, 3]
    sampler = PromptSampler(range(40), 4, 1, num_repeats=1, shuffle=True, seed=0, num_views=2)
    rows = order(sampler, 3)
    assert sorted(rows) == [*range(40)]
    assert rows[::2] != sorted(rows[::2])
    assert rows[1::2] == [row + 1 for row in rows[::2]]
    assert [row % 2 for row in rows[::2]] == [0] * 20
    # In the order of as many problems in one wording each.
    plain = PromptSampler(range(20), 2, 1, num_repeats=1, shuffle=True, seed=0)
    assert [row // 2 for row in rows[::2]] == order(plain, 3)
    assert sampler.batch(60 // 2 + 1) == rows[4:8]
