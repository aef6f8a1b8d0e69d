"""Prompts as a tree: what several begin with alike stands in it once.

Prompts are compared block by block, as in vLLM's prefix cache: a few words that two prompts have in
common by chance are not worth a part of their own. The images of a prompt stand in one part, which
may end with the last of them: what is asked of them often differs right behind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl.data.chat_parts import NO_IMAGES

BLOCK = 64  # tokens
# What an image adds to the ids of tokens, which are all smaller.
_IMAGE = 1 << 32


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


def prompt_key(
    prompt: Tensor, image_row: int = NO_IMAGES, image_token_ids: Sequence[int] = ()
) -> bytes:
    """What tells prompts apart, and orders them: their tokens, and whose images they have.

    An int64 for each token, its id. From the first token that stands for an image to the last, the
    number of the images is added above its 32 bits; all of these but the last are negative.

    Args:
        prompt: Tokens, (P,).
        image_row: Number of its images: of two prompts with one number they are the same.
        image_token_ids: Tokens that stand for images.
    """
    if image_row != NO_IMAGES and len(prompt):
        is_image = torch.isin(prompt, torch.tensor(image_token_ids, device=prompt.device).long())
        # Where none stands for an image, the whole prompt may depend on them.
        places = (is_image if is_image.any() else torch.ones_like(is_image)).nonzero()
        first, last = int(places[0]), int(places[-1])
        prompt = prompt.long().clone()
        prompt[first : last + 1] += (image_row + 1) * _IMAGE
        prompt[first:last] *= -1
    return prompt.cpu().numpy().tobytes()


def image_row_of(key: bytes, start: int, end: int) -> int:
    """Return the number of the images in a part of a prompt; `NO_IMAGES` if they are elsewhere."""
    tokens = _tokens(key)[start:end]
    last = _end_of_images(tokens)
    return int(tokens[last - 1] // _IMAGE) - 1 if last else NO_IMAGES


def _tokens(key: bytes) -> NDArray[np.int64]:
    return np.frombuffer(key, dtype=np.int64)


def _end_of_images(tokens: NDArray[np.int64]) -> int:
    """Count the tokens up to the last of the images; 0 if it is not among them."""
    last = np.flatnonzero(tokens >= _IMAGE)
    return int(last[0]) + 1 if len(last) else 0


def family(key: bytes) -> bytes:
    """What prompts that share anything have alike: the first block, or a shorter prompt.

    Where images begin in the first block, all tokens up to the end of the images.
    """
    tokens = _tokens(key)
    has_images = (np.abs(tokens[:BLOCK]) >= _IMAGE).any()
    return key[: 8 * (_end_of_images(tokens) if has_images else BLOCK)]


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
    """Count the tokens that two prompts begin with alike, as far as a part may reach.

    That is to the end of a block, but not amid images, or to the end of the images.
    """
    a, b = _tokens(one), _tokens(other)
    length = min(len(a), len(b))
    differs = np.flatnonzero(a[:length] != b[:length])
    alike = a[: differs[0] if len(differs) else length]
    amid_images = np.flatnonzero(alike < 0)
    end_of_images = _end_of_images(alike)
    if len(amid_images) and not end_of_images:
        alike = alike[: amid_images[0]]
    return max(len(alike) // BLOCK * BLOCK, end_of_images)


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
