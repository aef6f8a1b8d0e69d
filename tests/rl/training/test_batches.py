"""Rows taken out of a padded batch, by hand."""

import torch

from rl.training.batches import choose_rows, join, pack_rows, row_lengths, silent_rows, take

# Prompts of 1, 3 and 2 tokens, padded on the left; completions of 2, 1 and 4, on the right.
ROWS = {
    "prompt_ids": torch.tensor([[0, 0, 11], [21, 22, 23], [0, 31, 32]]),
    "prompt_mask": torch.tensor([[0, 0, 1], [1, 1, 1], [0, 1, 1]]),
    "completion_ids": torch.tensor([[12, 13, 0, 0], [24, 0, 0, 0], [33, 34, 35, 36]]),
    "completion_mask": torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]),
    "advantages": torch.tensor([0.5, 0.0, -0.5]),
    "old_per_token_logps": torch.arange(12.0).view(3, 4),
    "importance_sampling_ratio": torch.tensor([[1.0], [2.0], [3.0]]),
    # As wide as the completions by chance.
    "facts": torch.arange(12).view(3, 4),
    "num_items_in_batch": torch.tensor(7),
}
ALL = torch.tensor([True, True, True])


def test_lengths_and_silence():
    assert row_lengths(ROWS).tolist() == [3, 4, 6]
    assert silent_rows(ROWS).tolist() == [False, True, False]
    per_token = {"advantages": torch.tensor([[0.0, -1.0], [0.0, 0.0]])}
    assert silent_rows(per_token).tolist() == [False, True]


def test_needed_rows_come_first_and_the_shortest_fill_up():
    lengths, keep = torch.tensor([5, 1, 4, 2, 3]), torch.tensor([True, False, True, False, False])
    assert choose_rows(lengths, keep, 2).tolist() == [2, 0]
    assert choose_rows(lengths, keep, 3).tolist() == [1, 2, 0]
    assert choose_rows(lengths, keep, 5).tolist() == [1, 3, 4, 2, 0]
    assert choose_rows(lengths, torch.zeros(5, dtype=torch.bool), 1).tolist() == [1]


def test_a_batch_is_cut_to_its_longest_row():
    taken = take(ROWS, torch.tensor([0]), ALL)
    assert taken["prompt_ids"].tolist() == [[11]]
    assert taken["prompt_mask"].tolist() == [[1]]
    assert taken["completion_ids"].tolist() == [[12, 13]]
    assert taken["completion_mask"].tolist() == [[1, 1]]
    assert taken["old_per_token_logps"].tolist() == [[0.0, 1.0]]
    assert taken["importance_sampling_ratio"].tolist() == [[1.0]]  # one value a row
    assert taken["facts"].tolist() == [[0, 1, 2, 3]]
    assert taken["advantages"].tolist() == [0.5]
    assert taken["num_items_in_batch"] == 7
    assert ROWS["prompt_ids"].shape == (3, 3)


def test_filling_counts_nowhere():
    keep = torch.tensor([True, False, False])
    taken = take(ROWS, torch.tensor([0, 1]), keep)
    assert taken["completion_mask"].tolist() == [[1, 1], [0, 0]]
    assert taken["prompt_ids"].shape == (2, 3)
    # Nothing but filling keeps one position.
    taken = take(ROWS, torch.tensor([1]), keep)
    assert taken["completion_ids"].shape == taken["completion_mask"].shape == (1, 1)
    assert taken["completion_mask"].sum() == 0


def test_without_trimming_widths_stay():
    taken = take(ROWS, torch.tensor([0]), ALL, trim=False)
    assert taken["prompt_ids"].shape == (1, 3)
    assert taken["completion_ids"].shape == (1, 4)


def test_joined_parts_are_the_whole():
    parts = [take(ROWS, torch.tensor([i]), ALL, trim=False) for i in range(3)]
    joined = join(parts)
    assert joined.keys() == ROWS.keys()
    assert all(joined[name].equal(value) for name, value in ROWS.items())


def packed(sizes, num_parts, budget):
    prompts, completions = torch.tensor(sizes, dtype=torch.long).reshape(-1, 2).T
    return [list(part) for part in pack_rows(prompts, completions, num_parts, budget)]


SIZES = [(1, 1), (1, 2), (1, 3), (1, 8)]


def test_rows_are_packed_by_positions():
    assert packed([], 2, 10) == [[], []]
    assert packed([(1, 2)], 1, 1) == [[0]]  # longer than the budget: alone
    # Two rows of 1 + 2 take 6 positions, three of 1 + 3 take 12, the last takes 9 alone.
    assert packed(SIZES, 4, 12) == [[0, 1, 2], [3], [], []]
    assert packed(SIZES, 4, 11) == [[0, 1], [2], [3], []]
    # The longest prompt and the longest completion may be of different rows: 2 * (5 + 5) = 20.
    assert packed([(5, 1), (1, 5)], 2, 20) == [[0, 1], []]
    assert packed([(5, 1), (1, 5)], 2, 19) == [[0], [1]]


def test_a_budget_that_needs_too_many_parts_is_raised_as_little_as_possible():
    # One part must hold all four rows, 4 * (1 + 8) = 36 positions; with two, the larger is
    # 3 * (1 + 3) = 12; with three, 2 * (1 + 2) = 6 is enough but for the last row, which needs 9.
    assert packed(SIZES, 1, 5) == [[0, 1, 2, 3]]
    assert packed(SIZES, 2, 1) == [[0, 1, 2], [3]]
    assert packed(SIZES, 3, 1) == [[0, 1], [2], [3]]
