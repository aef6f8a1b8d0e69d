"""Trees of prompts, by hand."""

import torch

from rl.training.prompt_tree import (
    BLOCK,
    PromptPart,
    family,
    grow_tree,
    image_row_of,
    in_order,
    num_new_tokens,
    num_shared,
    prompt_key,
)

ONE, TWO, THREE = ([token] * BLOCK for token in (1, 2, 3))


def key(*tokens):
    return prompt_key(torch.tensor([t for part in tokens for t in part], dtype=torch.long))


def test_prompts_share_whole_blocks():
    assert BLOCK == 64
    assert num_shared(key([5]), key([5])) == 0
    assert num_shared(key(ONE), key(ONE)) == 64
    assert num_shared(key(ONE, [7, 8]), key(ONE, [7, 9])) == 64
    assert num_shared(key(ONE, TWO, [7]), key(ONE, TWO)) == 128
    assert num_shared(key(ONE, TWO), key(TWO, TWO)) == 0
    assert num_shared(key(), key(ONE)) == 0


def test_families_come_in_the_order_in_which_they_occur():
    keys = [key([9]), key(TWO, [5]), key(ONE), key(TWO, [4]), key([9]), key(TWO)]
    assert in_order(keys) == [key([9]), key(TWO), key(TWO, [4]), key(TWO, [5]), key(ONE)]
    assert family(key(TWO, [5])) == family(key(TWO))
    assert in_order([]) == []


def test_a_tree_of_three_levels():
    keys = [
        key(ONE),  # the beginning of three others
        key(ONE, TWO, THREE, [4]),
        key(ONE, TWO, THREE, [5, 5]),
        key(ONE, TWO, [4]),
        key([8, 8]),
    ]
    assert in_order([keys[0], *keys[:0:-1]])[:4] == keys[:4]
    parts, ends = grow_tree(keys)
    assert parts == [
        PromptPart(0, 0, 64, None),
        PromptPart(1, 64, 128, 0),
        PromptPart(1, 128, 192, 1),
        PromptPart(1, 192, 193, 2),
        PromptPart(2, 192, 194, 2),
        PromptPart(3, 128, 129, 1),
        PromptPart(4, 0, 2, None),
    ]
    assert ends == [0, 3, 4, 5, 6]
    # 64; 64 + 64 + 1; 2; 1; 2, which are all tokens of the tree.
    assert num_new_tokens(keys) == [64, 129, 2, 1, 2]
    assert sum(part.end - part.start for part in parts) == 198
    # Of some of them in a row too, the first counted whole.
    assert num_new_tokens(keys[2:4]) == [194, 1]
    assert sum(part.end - part.start for part in grow_tree(keys[2:4])[0]) == 195


def test_one_prompt_is_one_part():
    assert grow_tree([key(ONE, TWO)]) == ([PromptPart(0, 0, 128, None)], [0])
    assert grow_tree([]) == ([], [])


# 9 stands for an image.
def key_with_images(row, *tokens):
    prompt = torch.tensor([t for part in tokens for t in part], dtype=torch.long)
    return prompt_key(prompt, row, [9])


def test_the_images_of_a_prompt_stand_in_one_part():
    images = [9] * 70
    one, other = key_with_images(0, [1], images, [4]), key_with_images(0, [1], images, [5])
    # A block ends amid the 70 tokens; the part goes on to the end of the images.
    assert num_shared(one, other) == 71
    assert family(one) == family(other) == one[: 8 * 71]
    # With other images, and where one has fewer of them, nothing but a whole block before them.
    assert num_shared(one, key_with_images(1, [1], images, [4])) == 0
    assert num_shared(one, key_with_images(0, [1], images[:-1], [4])) == 0
    assert num_shared(one, key_with_images(-1, [1], images, [4])) == 0
    assert num_shared(key_with_images(0, ONE, [9]), key_with_images(1, ONE, [9])) == 64
    assert num_shared(key_with_images(0, ONE, [9, 4]), key_with_images(0, ONE, [9, 5])) == 65
    # Behind them, blocks as ever.
    long = [key_with_images(0, [9, 9], TWO, [last]) for last in (4, 5)]
    assert num_shared(*long) == 64
    assert num_shared(*(key[: 8 * 20] for key in long)) == 2


def test_text_between_images_tells_prompts_apart():
    keys = [key_with_images(0, [9, text, 9, 4]) for text in (2, 3)]
    assert num_shared(*keys) == 0
    assert len(set(keys)) == 2


def test_a_part_knows_whose_images_it_holds():
    one, other = key_with_images(7, [1, 9, 9, 4]), key_with_images(7, [1, 9, 9, 5])
    parts, ends = grow_tree([one, other])
    assert parts == [
        PromptPart(0, 0, 3, None),
        PromptPart(0, 3, 4, 0),
        PromptPart(1, 3, 4, 0),
    ]
    assert ends == [1, 2]
    assert [image_row_of(one, part.start, part.end) for part in parts[:2]] == [7, -1]


def test_images_without_a_token_of_their_own_are_not_forgotten():
    assert key_with_images(0, [1, 2]) != key_with_images(1, [1, 2])
    assert key_with_images(0, [1, 2]) != key([1, 2])
    assert key_with_images(-1, [1, 9]) == key([1, 9])
