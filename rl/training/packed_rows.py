"""Rows of a micro-batch as one sequence without padding, in which each prompt stands once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rl.data.chat_parts import NO_IMAGES
from rl.training.prompt_tree import (
    family,
    grow_tree,
    image_row_of,
    in_order,
    num_new_tokens,
    prompt_key,
)


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
        sources: Where each of the N tokens stands in the flattened rows, in one of those that have
            it, (N,).
        image_rows: Numbers of the images whose tokens are in the sequence, in their order.
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
    sources: Tensor
    image_rows: tuple[int, ...]
    num_rows: int
    row_length: int

    def spread(self, values: Tensor) -> Tensor:
        """Put values of the scored tokens, (..., M), where full rows have them, (..., B, L - 1)."""
        shape = (*values.shape[:-1], self.num_rows * (self.row_length - 1))
        rows = values.new_zeros(shape).index_copy(-1, self.places, values)
        return rows.unflatten(-1, (self.num_rows, self.row_length - 1))


def prompt_numbers(keys: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """Number the distinct prompts of rows, from 0; those that begin alike are neighbours.

    Args:
        keys: The prompt of each of R rows, as `prompt_keys` gives them.

    Returns:
        The number of each row's prompt, and of the first that begins like it, (R,) each.
    """
    numbers = {key: number for number, key in enumerate(in_order(keys))}
    first: dict[bytes, int] = {}
    for key, number in numbers.items():
        first.setdefault(family(key), number)
    both = torch.tensor([(numbers[key], first[family(key)]) for key in keys]).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def new_prompt_tokens(keys: Sequence[bytes]) -> Tensor:
    """Count the prompt tokens of each row that the row before does not have, (R,).

    Args:
        keys: The prompt of each row, in the order of their prompts' numbers within a family.
    """
    found = [
        0 if number and key == keys[number - 1] else new
        for number, (key, new) in enumerate(zip(keys, num_new_tokens(keys), strict=True))
    ]
    return torch.tensor(found)


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


def prompt_keys(
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    image_rows: Tensor | None = None,
    image_token_ids: Sequence[int] = (),
) -> list[bytes]:
    """Return each row's prompt as `rl.training.prompt_tree` takes it.

    Args:
        prompt_ids: (R, P).
        prompt_mask: 1 at their tokens, (R, P).
        image_rows: Number of each row's images, or `NO_IMAGES`, (R,); None where no row has any.
        image_token_ids: Tokens that stand for images.
    """
    numbers = [NO_IMAGES] * len(prompt_ids) if image_rows is None else image_rows.tolist()
    rows = zip(prompt_ids.cpu(), prompt_mask.bool().cpu(), numbers, strict=True)
    return [prompt_key(ids[mask], number, image_token_ids) for ids, mask, number in rows]


def pack(
    input_ids: Tensor,
    attention_mask: Tensor,
    labels: Tensor,
    image_rows: Tensor | None = None,
    image_token_ids: Sequence[int] = (),
) -> PackedRows | None:
    """Pack rows, each distinct prompt once, and of prompts what they begin with alike.

    A row's prompt is what stands before its first label. A row without a label is left out: nothing
    is asked of it.

    Args:
        input_ids: Padded on either side or both, (B, L).
        attention_mask: 1 at tokens, 0 at padding, (B, L).
        labels: The ids of the tokens to score, from some token on all there are; -100 elsewhere,
            (B, L).
        image_rows: Number of the images of each row's prompt, or `NO_IMAGES`, (B,); None where no
            row has any.
        image_token_ids: Tokens that stand for images.

    Returns:
        None where no row has a label, one has it at its first token, or nothing is repeated or
        padded.
    """
    ids, mask, is_scored = input_ids.cpu(), attention_mask.bool().cpu(), (labels != -100).cpu()
    images = [NO_IMAGES] * len(ids) if image_rows is None else image_rows.tolist()
    members: dict[bytes, list[_Row]] = {}
    for number in is_scored.any(dim=1).nonzero().flatten().tolist():
        row = _read_row(number, mask[number], is_scored[number])
        key = prompt_key(ids[number, row.prompt], images[number], image_token_ids)
        members.setdefault(key, []).append(row)
    num_rows = sum(map(len, members.values()))
    num_prompt_tokens = sum(num_new_tokens(in_order(members)))
    num_completion_tokens = sum(
        len(row.completion) - 1 for same in members.values() for row in same
    )
    num_tokens = num_prompt_tokens + num_completion_tokens
    if not _saves(input_ids.numel(), num_tokens, num_rows) or b"" in members:
        return None
    return _pack(input_ids, members, num_prompt_tokens)


@dataclass(frozen=True)
class _Row:
    """A row with something to score: its number, and the columns of its prompt and completion."""

    number: int
    prompt: Tensor
    completion: Tensor


def _read_row(number: int, mask: Tensor, is_scored: Tensor) -> _Row:
    columns = mask.nonzero().flatten()
    prompt_length = int(is_scored[columns].int().argmax())
    return _Row(number, columns[:prompt_length], columns[prompt_length:])


def _pack(
    input_ids: Tensor, members: dict[bytes, list[_Row]], num_prompt_tokens: int
) -> PackedRows:
    """Pack the rows of each prompt."""
    row_length = input_ids.shape[1]
    keys = in_order(members)
    tree, ends = grow_tree(keys)
    of_end = {end: members[key] for key, end in zip(keys, ends, strict=True)}
    first_rows = [members[keys[part.prompt]][0] for part in tree]
    sources = [
        row.number * row_length + row.prompt[part.start : part.end]
        for row, part in zip(first_rows, tree, strict=True)
    ]
    positions = [torch.arange(part.start, part.end) for part in tree]
    padded, unpadded = [], [torch.arange(num_prompt_tokens)]
    predictors, places, groups = [], [], []
    group_end, token, place = 0, num_prompt_tokens, num_prompt_tokens
    for number, part in enumerate(tree):
        start, group_end = group_end, group_end + part.end - part.start
        ending = of_end.get(number, [])
        longest = max((len(row.completion) for row in ending), default=1) - 1
        groups.append(PromptGroup(start, group_end - start, len(ending), longest, part.parent))
        for row in ending:
            run = torch.arange(len(row.completion) - 1)
            sources.append(row.number * row_length + row.completion[:-1])
            positions.append(part.end + run)
            padded += [token + run, torch.zeros(longest - len(run)).long()]
            unpadded.append(place + run)
            predictors += [torch.tensor([group_end - 1]), token + run]
            places.append(row.number * (row_length - 1) + row.completion - 1)
            token, place = token + len(run), place + longest
    parts = {"sources": sources, "position_ids": positions, "padded": padded, "unpadded": unpadded}
    parts |= {"predictors": predictors, "places": places}
    joined = {name: torch.cat(part).to(input_ids.device) for name, part in parts.items()}
    images = [image_row_of(keys[part.prompt], part.start, part.end) for part in tree]
    return PackedRows(
        **joined,
        input_ids=input_ids.flatten()[joined["sources"]],
        labels=input_ids[:, 1:].flatten()[joined["places"]],
        groups=tuple(groups),
        image_rows=tuple(number for number in images if number != NO_IMAGES),
        num_rows=len(input_ids),
        row_length=row_length,
    )
