"""Micro-batches that hold only rows with something to teach, padded to their own longest row.

A generation batch is padded to its longest completion, and many of its rows have an advantage of
exactly zero. Neither padding nor such rows change the gradient; leaving them out saves their cost.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from rl.training.layout import PROMPT_KEYS, TOKEN_KEYS
from rl.training.losses.term import TERM_WEIGHTS


def row_lengths(rows: Mapping[str, Tensor]) -> Tensor:
    """Count the tokens of each row, prompt and completion, padding left out, (R,)."""
    return rows["prompt_mask"].sum(dim=1) + rows["completion_mask"].sum(dim=1)


def silent_rows(rows: Mapping[str, Tensor]) -> Tensor:
    """Say which rows have an advantage of exactly zero at every token, (R,)."""
    advantages = rows["advantages"]
    return (advantages if advantages.dim() == 1 else advantages.abs().amax(dim=1)) == 0


def join(micro_batches: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Put the rows of equally padded micro-batches together; values without rows are the first's.

    Args:
        micro_batches: Of one generation batch, at least one.
    """
    first = micro_batches[0]
    return {
        name: torch.cat([batch[name] for batch in micro_batches]) if value.dim() else value
        for name, value in first.items()
    }


def by_prompt(chosen: Tensor, lengths: Tensor, prompts: Tensor, families: Tensor) -> Tensor:
    """Put chosen rows of one prompt together, and prompts that begin alike.

    Families of such prompts come in the order of their longest row.

    Args:
        chosen: Row numbers, (C,).
        lengths: Tokens of each row, (R,).
        prompts: Number of each row's prompt, from 0; those of a family are neighbours, (R,).
        families: Number of the first prompt that begins as each row's does, (R,).
    """
    longest = lengths.new_zeros(int(prompts.max()) + 1)
    longest = longest.scatter_reduce(0, families[chosen], lengths[chosen], "amax")
    ordered = chosen[prompts[chosen].argsort(stable=True)]
    return ordered[longest[families[ordered]].argsort(stable=True)]


def choose_rows(lengths: Tensor, keep: Tensor, num_rows: int) -> Tensor:
    """Choose the rows that are run, shortest first.

    Args:
        lengths: Tokens of each row, (R,).
        keep: Rows that must be run, (R,).
        num_rows: How many to choose, from the number of those to R; the shortest others fill up.

    Returns:
        Row numbers, ascending in length, (num_rows,).
    """
    by_length = lengths.argsort(stable=True)
    needed, others = by_length[keep[by_length]], by_length[~keep[by_length]]
    chosen = torch.cat([needed, others[: num_rows - len(needed)]])
    return chosen[lengths[chosen].argsort(stable=True)]


def pack_rows(
    prompts: Tensor,
    completions: Tensor,
    num_parts: int,
    budget: int,
    new: Tensor | None = None,
) -> list[range]:
    """Share rows out over micro-batches by positions instead of rows.

    A micro-batch of r rows takes r * (longest prompt + longest completion) positions; where prompts
    are shared, the sum of its different prompts and of its completions. It is closed when the next
    row would exceed the budget. Where `num_parts` do not hold all rows that way, the budget is the
    least with which they do. A row longer than the budget stands alone.

    Args:
        prompts: Prompt tokens of each row, in the order the rows are packed in, (R,).
        completions: Completion tokens of each row, (R,).
        num_parts: Micro-batches there are, at least 1.
        budget: Most positions of one, at least 1.
        new: Prompt tokens that the row before does not have, (R,); None if prompts are not shared.

    Returns:
        The places of each micro-batch's rows, `num_parts` ranges; those left over are empty.
    """
    sizes = list(zip(prompts.tolist(), completions.tolist(), strict=True))
    shared = None if new is None else new.tolist()
    starts = _pack(sizes, budget, shared)
    if len(starts) > num_parts:
        whole = len(sizes) * (max(p for p, _ in sizes) + max(c for _, c in sizes))
        # A larger budget never needs more parts, so the least that suffices can be bisected.
        least = bisect_left(
            range(whole + 1),
            True,
            lo=budget,
            key=lambda b: len(_pack(sizes, b, shared)) <= num_parts,
        )
        starts = _pack(sizes, least, shared)
    starts += [len(sizes)] * (num_parts + 1 - len(starts))
    return [range(*ends) for ends in pairwise(starts)]


def _pack(sizes: Sequence[tuple[int, int]], budget: int, new: list[int] | None) -> list[int]:
    """Return where each micro-batch starts."""
    starts: list[int] = []
    prompt = completion = positions = 0
    for i, (p, c) in enumerate(sizes):
        prompt, completion = max(prompt, p), max(completion, c)
        if new is not None:
            positions += c + new[i]
        elif starts:
            positions = (i - starts[-1] + 1) * (prompt + completion)
        if not starts or positions > budget:
            starts.append(i)
            prompt, completion, positions = p, c, p + c
    return starts


def take(
    rows: Mapping[str, Tensor], chosen: Tensor, keep: Tensor, trim: bool = True
) -> dict[str, Tensor]:
    """Take rows out of a batch and pad them to their own longest prompt and completion.

    Rows that only fill up lose their completion mask and count in no sum.

    Args:
        rows: Values named as in `rl.training.layout`.
        chosen: Row numbers, at least one.
        keep: Rows that are no filling, (R,).
        trim: Whether to cut the padding.
    """
    taken = {name: value[chosen] if value.dim() else value for name, value in rows.items()}
    filling = ~keep[chosen]
    taken["completion_mask"] = taken["completion_mask"] * ~filling[:, None]
    if not trim:
        return taken
    # A completion keeps one token at least: the model needs a position to predict.
    num_tokens = max(1, int(taken["completion_mask"].sum(dim=1).max()))
    first_prompt_token = rows["prompt_mask"].shape[1] - int(taken["prompt_mask"].sum(dim=1).max())
    for name, value in taken.items():
        if name in PROMPT_KEYS:
            taken[name] = value[:, first_prompt_token:]
        elif (name in TOKEN_KEYS or name.startswith(TERM_WEIGHTS)) and value.dim() == 2:
            taken[name] = value[:, :num_tokens]
    return taken
