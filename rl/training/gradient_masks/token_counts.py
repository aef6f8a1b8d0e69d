"""How often each token that a pass runs stands in the rows it is run for; padding never does."""

import torch
from torch import Tensor

from rl.training.packed_rows import PackedRows


def counts_of_rows(attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Count the tokens before scored ones, and all before these; not what only fills up.

    So padding counts nothing, nor does the last token of a row, which predicts nothing, nor a row
    without a label.

    Args:
        attention_mask: 1 at tokens, (B, L).
        labels: The ids of the tokens that are scored, -100 elsewhere, (B, L).

    Returns:
        1.0 or 0.0, (B, L).
    """
    numbers = attention_mask.cumsum(dim=1)
    is_last = numbers == numbers[:, -1:]
    is_run = (labels != -100).any(dim=1, keepdim=True)
    return (attention_mask.bool() & ~is_last & is_run).float()


def counts_of_packed(packed: PackedRows, num_rows_given: int) -> Tensor:
    """Count the rows that have each token of a packed sequence, (1, N); sums to that of the rows.

    A prompt's tokens stand for all rows that begin with them, a completion's for its own.

    Args:
        packed: The sequence.
        num_rows_given: Rows from this number on were added to a call, and count nothing
            (`rl.training.stand_in_image`).
    """
    num_rows = [group.num_rows for group in packed.groups]
    for number, group in reversed(list(enumerate(packed.groups))):
        if group.parent is not None:  # which stands before it
            num_rows[group.parent] += num_rows[number]
    counts = torch.ones(len(packed.input_ids), device=packed.input_ids.device)
    for group, number in zip(packed.groups, num_rows, strict=True):
        counts[group.start : group.start + group.length] = number
    is_given = packed.sources // packed.row_length < num_rows_given
    return (counts * is_given)[None]
