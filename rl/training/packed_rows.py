"""Rows of a micro-batch as one sequence without padding, in which each prompt stands once."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PromptGroup:
    """The completions of one prompt in a packed sequence.

    Attributes:
        start: Where the prompt begins in the sequence.
        prompt_length: Its tokens, P.
        num_rows: Its completions, G.
        completion_length: Tokens that are run of the longest of them, T; 0 where the prompt alone
            predicts all.
    """

    start: int
    prompt_length: int
    num_rows: int
    completion_length: int


@dataclass(frozen=True)
class PackedRows:
    """Rows of B completions, padded to L, as one sequence of N tokens: prompts, then completions.

    A completion's last token predicts nothing that is scored: it is left out.

    Attributes:
        input_ids: (N,).
        position_ids: The number of each token in its own row, from 0, (N,).
        groups: In the order of their prompts.
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


def prompt_numbers(prompt_ids: Tensor, prompt_mask: Tensor) -> Tensor:
    """Number the distinct prompts of rows, from 0, in the order in which they first occur, (R,).

    Args:
        prompt_ids: (R, P).
        prompt_mask: 1 at their tokens, (R, P).
    """
    numbers: dict[bytes, int] = {}
    rows = zip(prompt_ids.cpu(), prompt_mask.bool().cpu(), strict=True)
    found = [numbers.setdefault(_key(ids[mask]), len(numbers)) for ids, mask in rows]
    return torch.tensor(found, device=prompt_ids.device)


def num_positions(padded: int, prompts: Tensor, completions: Tensor, numbers: Tensor) -> int:
    """Count the positions that are run of rows: packed, or padded where that saves nothing.

    Args:
        padded: Positions of the padded rows.
        prompts: Prompt tokens of each row, (R,).
        completions: Completion tokens of each row; a row of none is not run if packed, (R,).
        numbers: Of their prompts, as `prompt_numbers` gives them, (R,).
    """
    runs = completions > 0
    lengths = dict(zip(numbers[runs].tolist(), prompts[runs].tolist(), strict=True))
    packed = sum(lengths.values()) + int(completions.sum() - runs.sum())
    return packed if _saves(padded, packed, int(runs.sum())) else padded


def _saves(padded: int, packed: int, num_rows: int) -> bool:
    """Say whether more than each row's last token is left out."""
    return 0 < packed < padded - num_rows


def _key(prompt: Tensor) -> bytes:
    return prompt.numpy().tobytes()


def pack(input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> PackedRows | None:
    """Pack rows, each distinct prompt once.

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
    rows = _read_rows(input_ids.cpu(), attention_mask.bool().cpu(), (labels != -100).cpu())
    groups: dict[bytes, list[_Row]] = {}
    for row in rows:
        groups.setdefault(_key(row.prompt), []).append(row)
    prompts = [members[0].prompt for members in groups.values()]
    num_prompt_tokens = sum(map(len, prompts))
    num_tokens = num_prompt_tokens + sum(len(row.completion) - 1 for row in rows)
    if not _saves(input_ids.numel(), num_tokens, len(rows)) or not all(map(len, prompts)):
        return None

    row_length = input_ids.shape[1]
    token_ids, positions = [*prompts], [torch.arange(len(prompt)) for prompt in prompts]
    padded, unpadded = [], [torch.arange(num_prompt_tokens)]
    predictors, scored, places, packed_groups = [], [], [], []
    prompt_end, token, place = 0, num_prompt_tokens, num_prompt_tokens
    for prompt, members in zip(prompts, groups.values(), strict=True):
        start, prompt_end = prompt_end, prompt_end + len(prompt)
        longest = max(len(row.completion) for row in members) - 1
        packed_groups.append(PromptGroup(start, len(prompt), len(members), longest))
        for row in members:
            run = torch.arange(len(row.completion) - 1)
            token_ids.append(row.completion[:-1])
            positions.append(len(prompt) + run)
            padded += [token + run, torch.zeros(longest - len(run)).long()]
            unpadded.append(place + run)
            predictors += [torch.tensor([prompt_end - 1]), token + run]
            scored.append(row.completion)
            places.append(row.number * (row_length - 1) + row.columns - 1)
            token, place = token + len(run), place + longest
    parts = {
        "input_ids": token_ids,
        "position_ids": positions,
        "padded": padded,
        "unpadded": unpadded,
        "predictors": predictors,
        "labels": scored,
        "places": places,
    }
    return PackedRows(
        **{name: torch.cat(part).to(input_ids.device) for name, part in parts.items()},
        groups=tuple(packed_groups),
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


def _read_rows(input_ids: Tensor, mask: Tensor, is_scored: Tensor) -> list[_Row]:
    rows = []
    for number in is_scored.any(dim=1).nonzero().flatten().tolist():
        columns = mask[number].nonzero().flatten()
        prompt_length = int(is_scored[number, columns].int().argmax())
        tokens, columns = input_ids[number, columns], columns[prompt_length:]
        rows.append(_Row(number, tokens[:prompt_length], tokens[prompt_length:], columns))
    return rows
