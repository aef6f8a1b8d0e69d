"""Tokens are counted as often as rows have them, however the rows are run."""

import torch

from rl.training.gradient_masks.token_counts import counts_of_packed, counts_of_rows
from rl.training.packed_rows import pack

# Prompts 5 6 7 (twice) and 5 6 8, padded on the left; completions of 2, 1 and 2 tokens, padded on
# the right; the last row only fills up.
IDS = torch.tensor([[0, 5, 6, 7, 1, 2], [0, 5, 6, 7, 3, 0], [0, 5, 6, 8, 1, 3], [9, 5, 6, 7, 0, 0]])
LABELS = torch.where((torch.arange(6) >= 4) & (IDS != 0), IDS, -100)
MASK = (IDS != 0).long()


def test_padding_last_tokens_and_filling_count_nothing():
    expected = [[0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [0] * 6]
    assert counts_of_rows(MASK, LABELS).tolist() == expected


def test_a_shared_token_counts_for_each_of_its_rows():
    packed = pack(IDS, MASK, LABELS)
    assert packed is not None

    def of_tokens(num_rows_given):
        counts = counts_of_packed(packed, num_rows_given)[0]
        of_token = dict.fromkeys(range(10), 0.0)
        for token, count in zip(packed.input_ids.tolist(), counts.tolist(), strict=True):
            of_token[token] += count
        return {token: n for token, n in of_token.items() if n}

    # Three rows have 5 and 6, two 7, one 8; two completions have a token 1 before their last.
    assert of_tokens(4) == {5: 3, 6: 3, 7: 2, 8: 1, 1: 2}
    # Without the third row, which shares nothing: a beginning of two tokens is less than a block.
    assert of_tokens(2) == {5: 2, 6: 2, 7: 2, 1: 1}
