"""Prompts as a tree: what several begin with alike stands in it once.

Prompts are compared block by block, as in vLLM's prefix cache: a few words that two prompts have in
common by chance are not worth a part of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

BLOCK = 64  # tokens
_BYTES = 8 * BLOCK


@dataclass(frozen=True)
class PromptPart:
    """A run of tokens of prompts that begin alike up to its end.

    Attributes:
        prompt: Number of one of these prompts.
        start: Its first token in these prompts.
        end: The token after its last.
        parent: Number of the part before it; None where it begins the prompt.
    """

    prompt: int
    start: int
    end: int
    parent: int | None


def prompt_key(prompt: Tensor) -> bytes:
    """What tells prompts apart, and orders them: their tokens, int64."""
    return prompt.cpu().numpy().tobytes()


def family(key: bytes) -> bytes:
    """What prompts that share anything have alike: the first block, or a shorter prompt."""
    return key[:_BYTES]


def in_order(keys: Iterable[bytes]) -> list[bytes]:
    """Put the distinct prompts in an order in which those that begin alike stand together.

    Families stand in the order in which they first occur.
    """
    distinct = dict.fromkeys(keys)
    families: dict[bytes, int] = {}
    for key in distinct:
        families.setdefault(family(key), len(families))
    return sorted(distinct, key=lambda key: (families[family(key)], key))


def num_shared(one: bytes, other: bytes) -> int:
    """Count the tokens of the whole blocks that two prompts begin with alike."""
    num_blocks = min(len(one), len(other)) // _BYTES
    starts = range(0, num_blocks * _BYTES, _BYTES)
    alike = (one[at : at + _BYTES] == other[at : at + _BYTES] for at in starts)
    return BLOCK * next((block for block, same in enumerate(alike) if not same), num_blocks)


def num_new_tokens(keys: Sequence[bytes]) -> list[int]:
    """Count of prompts in order the tokens that the prompt before does not have.

    The sum, over any prompts in a row and with the first one counted whole, is the tree's.
    """
    pairs = pairwise([b"", *keys])
    return [len(key) // 8 - num_shared(before, key) for before, key in pairs]


def grow_tree(keys: Sequence[bytes]) -> tuple[list[PromptPart], list[int]]:
    """Make a tree of distinct prompts in order (`in_order`), none of them empty.

    Returns:
        The parts, each after the one before it in its prompts; and for each prompt the number of
        the part it ends with.
    """
    lengths = [len(key) // 8 for key in keys]
    shared = [a - b for a, b in zip(lengths, num_new_tokens(keys), strict=True)]
    parts: list[PromptPart] = []
    ends = [0] * len(keys)

    def grow(prompts: range, start: int, parent: int | None) -> None:
        """Add what comes after the first `start` tokens, which these prompts share."""
        branches = [
            number for number in prompts if number == prompts.start or shared[number] <= start
        ]
        for first, after in zip(branches, [*branches[1:], prompts.stop], strict=True):
            branch = range(first, after)
            end = min(shared[first + 1 : after], default=lengths[first])
            part = parent
            if end > start:
                part = len(parts)
                parts.append(PromptPart(first, start, end, parent))
            if len(branch) > 1:
                grow(branch, end, part)
            else:
                assert part is not None
                ends[first] = part

    if keys:
        grow(range(len(keys)), 0, None)
    return parts, ends
