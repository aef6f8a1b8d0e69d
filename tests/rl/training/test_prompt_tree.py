"""Trees of prompts, by hand."""

import torch

from rl.training.prompt_tree import (
    BLOCK,
    PromptPart,
    family,
    grow_tree,
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
