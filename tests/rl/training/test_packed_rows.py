"""Packing, by hand."""

import torch

from rl.training.packed_rows import (
    PromptGroup,
    new_prompt_tokens,
    num_positions,
    pack,
    prompt_keys,
    prompt_numbers,
)

# Prompts 1 2 and 3, completions padded on the right; the third row is not scored.
IDS = torch.tensor([[0, 3, 7, 8, 9], [1, 2, 4, 0, 0], [0, 3, 5, 6, 0], [0, 3, 5, 6, 0]])
MASK = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 1, 0]])
LABELS = IDS.masked_fill(MASK == 0, -100).index_fill(1, torch.tensor([0, 1]), -100)


def test_each_prompt_stands_once_and_completions_without_their_last_token():
    packed = pack(IDS, MASK, LABELS)
    # Prompt 3 of the rows 0 and 3, prompt 1 2 of row 1; then 7 8 and 5, row 1 has nothing to run.
    assert packed.input_ids.tolist() == [3, 1, 2, 7, 8, 5]
    assert packed.position_ids.tolist() == [0, 0, 1, 1, 2, 1]
    assert packed.groups == (PromptGroup(0, 1, 2, 2), PromptGroup(1, 2, 1, 0))
    # Completions padded to two: tokens 3 4, 5 and one that is not read.
    assert packed.padded.tolist() == [3, 4, 5, 0]
    # Three tokens of prompts, then the first three of the four places.
    assert packed.unpadded.tolist() == [0, 1, 2, 3, 4, 5]
    # 7 8 9 after 3 7 8; 5 6 after 3 5; 4 after 2.
    assert packed.labels.tolist() == [7, 8, 9, 5, 6, 4]
    assert packed.predictors.tolist() == [0, 3, 4, 0, 5, 2]


def test_values_go_back_to_their_rows():
    packed = pack(IDS, MASK, LABELS)
    values = torch.stack([packed.labels, -packed.labels])
    rows = packed.spread(values)
    assert rows.shape == (2, 4, 4)
    assert rows[0].tolist() == [[0, 7, 8, 9], [0, 4, 0, 0], [0, 0, 0, 0], [0, 5, 6, 0]]
    assert (rows[1] == -rows[0]).all()


def test_padding_may_stand_anywhere():
    shifted = [torch.cat([t[:, 1:], t[:, :1]], dim=1) for t in (IDS, MASK, LABELS)]
    rows = [0, 3]  # whose first column is padding
    packed, other = pack(*(t[rows] for t in (IDS, MASK, LABELS))), pack(*(t[rows] for t in shifted))
    assert packed.input_ids.tolist() == other.input_ids.tolist() == [3, 7, 8, 5]
    assert other.spread(other.labels).tolist() == [[7, 8, 9, 0], [5, 6, 0, 0]]


def test_what_is_not_packed():
    assert pack(IDS, MASK, torch.full_like(IDS, -100)) is None
    # A completion without a prompt has no token that predicts its first.
    alone = torch.tensor([[4, 5, 0]])
    assert pack(alone, alone.clamp(max=1), alone.masked_fill(alone == 0, -100)) is None
    # One row without padding: only its last token would be left out.
    ids, mask, labels = IDS[:1, 1:], MASK[:1, 1:], LABELS[:1, 1:]
    assert pack(ids, mask, labels) is None
    assert pack(IDS[:1], MASK[:1], LABELS[:1]).input_ids.tolist() == [3, 7, 8]


def test_prompts_are_told_apart_by_their_tokens_alone():
    ids = torch.tensor([[9, 1], [0, 1], [1, 1], [2, 1]])
    mask = torch.tensor([[0, 1], [0, 1], [1, 1], [0, 1]])
    numbers, families = prompt_numbers(prompt_keys(ids, mask))
    assert numbers.tolist() == families.tolist() == [0, 0, 1, 0]
    # One after 1 1; after it, of the same prompt, nothing.
    assert new_prompt_tokens(prompt_keys(ids[[2, 0, 1]], mask[[2, 0, 1]])).tolist() == [2, 1, 0]


def test_prompts_that_begin_alike_are_neighbours():
    block = [7] * 64
    rows = [[*block, 3], [5] * 65, [*block, 2], [*block, 3]]
    keys = prompt_keys(torch.tensor(rows), torch.ones(4, 65))
    numbers, families = prompt_numbers(keys)
    assert numbers.tolist() == [1, 2, 0, 1]
    assert families.tolist() == [0, 2, 0, 0]
    order = [2, 0, 3, 1]
    assert new_prompt_tokens([keys[row] for row in order]).tolist() == [65, 1, 0, 65]


def test_what_prompts_begin_with_stands_once():
    block = [7] * 64
    ids = torch.tensor([[*block, 3, 8, 8], [*block, 2, 9, 9], [*block, 3, 6, 6]])
    labels = ids.index_fill(1, torch.arange(65), -100)
    packed = pack(ids, torch.ones_like(ids), labels)
    assert packed.input_ids.tolist() == [*block, 2, 3, 9, 8, 6]
    assert packed.position_ids.tolist() == [*range(64), 64, 64, 65, 65, 65]
    assert packed.groups == (
        PromptGroup(0, 64, 0, 0, None),
        PromptGroup(64, 1, 1, 1, 0),
        PromptGroup(65, 1, 2, 1, 0),
    )
    # 9 9 after 2 9; 8 8 after 3 8; 6 6 after 3 6.
    assert packed.labels.tolist() == [9, 9, 8, 8, 6, 6]
    assert packed.predictors.tolist() == [64, 66, 65, 67, 65, 68]
    assert packed.spread(packed.labels)[:, -2:].tolist() == [[8, 8], [9, 9], [6, 6]]


def test_positions_are_counted_as_they_are_run():
    ids, mask = torch.tensor([[0, 3], [1, 2], [0, 3], [0, 3]]), torch.ones(4, 2)
    mask[[0, 2, 3], 0] = 0
    prompts, completions = prompt_keys(ids, mask), [3, 1, 0, 2]
    # 1 + 2 of prompts, 2 + 0 + 1 of completions, as packed above; padded 4 rows of 5.
    assert num_positions(20, prompts, completions) == 6
    # Three rows are run, whose last tokens alone are no reason to pack.
    assert num_positions(10, prompts, completions) == 6
    assert num_positions(9, prompts, completions) == 9
    assert num_positions(2, prompts[:2], [0, 0]) == 2


def test_prompts_are_told_apart_by_their_images():
    # 9 stands for an image; the first and the third row have the same one, the fourth has none.
    ids = torch.tensor([[3, 9, 4, 7, 8]] * 4)
    labels = ids.index_fill(1, torch.arange(3), -100)
    image_rows = torch.tensor([5, 6, 5, -1])
    packed = pack(ids, torch.ones_like(ids), labels, image_rows, [9])
    # Of three prompts each of its own, since none shares a whole block.
    assert packed.input_ids.tolist() == [3, 9, 4] * 3 + [7, 7, 7, 7]
    assert [group.num_rows for group in packed.groups] == [2, 1, 1]
    assert packed.image_rows == (5, 6)
    numbers, families = prompt_numbers(prompt_keys(ids[:, :3], ids[:, :3], image_rows, [9]))
    assert numbers.tolist() == families.tolist() == [0, 1, 0, 2]
    # Told nothing of images, it takes all for one prompt.
    assert pack(ids, torch.ones_like(ids), labels).groups[0].num_rows == 4


def test_what_is_asked_of_the_same_images_has_them_once():
    # 3, two images of two tokens and what is between them; then 5, or 6.
    ids = torch.tensor([[3, 9, 9, 4, 9, 9, 5, 7, 8], [3, 9, 9, 4, 9, 9, 6, 7, 8]])
    labels = ids.index_fill(1, torch.arange(7), -100)
    packed = pack(ids, torch.ones_like(ids), labels, torch.tensor([2, 2]), [9])
    assert packed.input_ids.tolist() == [3, 9, 9, 4, 9, 9, 5, 6, 7, 7]
    assert packed.groups[0] == PromptGroup(0, 6, 0, 0, None)
    assert [group.parent for group in packed.groups] == [None, 0, 0]
    assert packed.image_rows == (2,)
    # Each token where a row has it: of the 18, the first row's are 0 to 8.
    assert packed.sources.tolist() == [0, 1, 2, 3, 4, 5, 6, 15, 7, 16]
