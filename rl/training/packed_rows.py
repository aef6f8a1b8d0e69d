"""Rows of a micro-batch as one sequence without padding, in which each prompt stands once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rl.training.prompt_tree import family, grow_tree, in_order, num_new_tokens, prompt_key


@dataclass(frozen=True)
class PromptGroup:
    """A prompt in a packed sequence, or what several begin with alike, and what it is followed by.

    Attributes:
        start: Where its own tokens begin in the sequence.
        length: How many they are.
        num_rows: Completions of the prompt that ends here, G; 0 if none does.
        completion_length: Tokens that are run of the longest of them, T; 0 where the prompt alone
            predicts all.
        parent: Number of the group with the tokens before its own; None where it has all.
    """

    start: int
    length: int
    num_rows: int
    completion_length: int
    parent: int | None = None


@dataclass(frozen=True)
class PackedRows:
    """Rows of B completions, padded to L, as one sequence of N tokens: prompts, then completions.

    A completion's last token predicts nothing that is scored: it is left out.

    Attributes:
        input_ids: (N,).
        position_ids: The number of each token in its own row, from 0, (N,).
        groups: In the order of their tokens; a parent stands before what follows it.
        padded: For each place of the completions, padded to the longest of their group, the token
            that stands there, or any where none does, (X,).
        unpadded: Where each of the N tokens is among the prompts' tokens and, after them, `padded`,
            (N,).
        predictors: The token before each scored one, (M,).
        labels: The ids of the scored ones, (M,).
        places: Where their values go in the flattened rows without their first column, (M,).
        num_rows: B.
        row_length: L.
    """

    input_ids: Tensor
    position_ids: Tensor
    groups: tuple[PromptGroup, ...]
    padded: Tensor
    unpadded: Tensor
    predictors: Tensor
    labels: Tensor
    places: Tensor
    num_rows: int
    row_length: int

    def spread(self, values: Tensor) -> Tensor:
        """Put values of the scored tokens, (..., M), where full rows have them, (..., B, L - 1)."""
        shape = (*values.shape[:-1], self.num_rows * (self.row_length - 1))
        rows = values.new_zeros(shape).index_copy(-1, self.places, values)
        return rows.unflatten(-1, (self.num_rows, self.row_length - 1))


def prompt_numbers(prompt_ids: Tensor, prompt_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Number the distinct prompts of rows, from 0; those that begin alike are neighbours.

    Args:
        prompt_ids: (R, P).
        prompt_mask: 1 at their tokens, (R, P).

    Returns:
        The number of each row's prompt, and of the first that begins like it, (R,) each.
    """
    keys = prompt_keys(prompt_ids, prompt_mask)
    numbers = {key: number for number, key in enumerate(in_order(keys))}
    first: dict[bytes, int] = {}
    for key, number in numbers.items():
        first.setdefault(family(key), number)
    found = [(numbers[key], first[family(key)]) for key in keys]
    both = torch.tensor(found, device=prompt_ids.device).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def new_prompt_tokens(prompt_ids: Tensor, prompt_mask: Tensor) -> Tensor:
    """Count the prompt tokens of each row that the row before does not have, (R,).

    Args:
        prompt_ids: Of rows in the order of their prompts' numbers within a family, (R, P).
        prompt_mask: 1 at their tokens, (R, P).
    """
    keys = prompt_keys(prompt_ids, prompt_mask)
    found = [
        0 if number and key == keys[number - 1] else new
        for number, (key, new) in enumerate(zip(keys, num_new_tokens(keys), strict=True))
    ]
    return torch.tensor(found, device=prompt_ids.device)


def num_positions(padded: int, prompts: Sequence[bytes], completions: Sequence[int]) -> int:
    """Count the positions that are run of rows: packed, or padded where that saves nothing.

    Args:
        padded: Positions of the padded rows.
        prompts: The prompt of each row, as `prompt_key` gives it.
        completions: Completion tokens of each row; a row of none is not run if packed.
    """
    run = [(prompt, length) for prompt, length in zip(prompts, completions, strict=True) if length]
    in_tree = sum(num_new_tokens(in_order(prompt for prompt, _ in run)))
    packed = in_tree + sum(length - 1 for _, length in run)
    return packed if _saves(padded, packed, len(run)) else padded


def _saves(padded: int, packed: int, num_rows: int) -> bool:
    """Say whether more than each row's last token is left out."""
    return 0 < packed < padded - num_rows


def prompt_keys(prompt_ids: Tensor, prompt_mask: Tensor) -> list[bytes]:
    """Return each row's prompt as `rl.training.prompt_tree` takes it.

    Args:
        prompt_ids: (R, P).
        prompt_mask: 1 at their tokens, (R, P).
    """
    rows = zip(prompt_ids.cpu(), prompt_mask.bool().cpu(), strict=True)
    return [prompt_key(ids[mask]) for ids, mask in rows]


def pack(input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> PackedRows | None:
    """Pack rows, each distinct prompt once, and of prompts what they begin with alike.

    A row's prompt is what stands before its first label. A row without a label is left out: nothing
    is asked of it.

    Args:
        input_ids: Padded on either side or both, (B, L).
        attention_mask: 1 at tokens, 0 at padding, (B, L).
        labels: The ids of the tokens to score, from some token on all there are; -100 elsewhere,
            (B, L).

    Returns:
        None where no row has a label, one has it at its first token, or nothing is repeated or
        padded.
    """
    members = _read_rows(input_ids.cpu(), attention_mask.bool().cpu(), (labels != -100).cpu())
    rows = [row for same in members.values() for row in same]
    keys = in_order(members)
    num_prompt_tokens = sum(num_new_tokens(keys))
    num_tokens = num_prompt_tokens + sum(len(row.completion) - 1 for row in rows)
    if not _saves(input_ids.numel(), num_tokens, len(rows)) or b"" in members:
        return None

    row_length = input_ids.shape[1]
    tree, ends = grow_tree(keys)
    of_end = {end: members[key] for key, end in zip(keys, ends, strict=True)}
    token_ids = [members[keys[part.prompt]][0].prompt[part.start : part.end] for part in tree]
    positions = [torch.arange(part.start, part.end) for part in tree]
    padded, unpadded = [], [torch.arange(num_prompt_tokens)]
    predictors, scored, places, groups = [], [], [], []
    group_end, token, place = 0, num_prompt_tokens, num_prompt_tokens
    for number, part in enumerate(tree):
        start, group_end = group_end, group_end + part.end - part.start
        ending = of_end.get(number, [])
        longest = max((len(row.completion) for row in ending), default=1) - 1
        groups.append(PromptGroup(start, group_end - start, len(ending), longest, part.parent))
        for row in ending:
            run = torch.arange(len(row.completion) - 1)
            token_ids.append(row.completion[:-1])
            positions.append(part.end + run)
            padded += [token + run, torch.zeros(longest - len(run)).long()]
            unpadded.append(place + run)
            predictors += [torch.tensor([group_end - 1]), token + run]
            scored.append(row.completion)
            places.append(row.number * (row_length - 1) + row.columns - 1)
            token, place = token + len(run), place + longest
    parts = (token_ids, positions, padded, unpadded, predictors, scored, places)
    names = ("input_ids", "position_ids", "padded", "unpadded", "predictors", "labels", "places")
    joined = (torch.cat(part).to(input_ids.device) for part in parts)
    return PackedRows(
        **dict(zip(names, joined, strict=True)),
        groups=tuple(groups),
        num_rows=len(input_ids),
        row_length=row_length,
    )


@dataclass(frozen=True)
class _Row:
    """A row with something to score: its number, its tokens, and the columns of its completion."""

    number: int
    prompt: Tensor
    completion: Tensor
    columns: Tensor


def _read_rows(input_ids: Tensor, mask: Tensor, is_scored: Tensor) -> dict[bytes, list[_Row]]:
    """Return the rows with something to score, by their prompts."""
    rows: dict[bytes, list[_Row]] = {}
    for number in is_scored.any(dim=1).nonzero().flatten().tolist():
        columns = mask[number].nonzero().flatten()
        prompt_length = int(is_scored[number, columns].int().argmax())
        tokens, columns = input_ids[number, columns], columns[prompt_length:]
        row = _Row(number, tokens[:prompt_length], tokens[prompt_length:], columns)
        rows.setdefault(prompt_key(row.prompt), []).append(row)
    return rows
