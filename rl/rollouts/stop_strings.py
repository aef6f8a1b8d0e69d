"""Strings that end a completion, as a base model needs that would go on with the next question.

A completion ends with the token that completes a stop string, and that token is trained like any
other; its text ends before the first stop string. A prompt's own text stops nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria

from rl.rollouts.engine import Sample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def cut_at_stop(text: str, stop_strings: Sequence[str]) -> str:
    r"""Return what stands before the first stop string; the whole text if there is none.

    Example:
        >>> cut_at_stop("4\n\nQuestion: 3", ["Question", "\n\n"]), cut_at_stop("4", ["\n"])
        ('4', '4')
    """
    found = [at for at in map(text.find, stop_strings) if at >= 0]
    return text[: min(found)] if found else text


def completion_texts(
    samples: Sequence[Sample],
    tokenizer: "PreTrainedTokenizerBase",
    stop_strings: Sequence[str] = (),
) -> list[str]:
    """Return the text of each sample, without special tokens, up to its first stop string."""
    ids = [sample.completion_ids for sample in samples]
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True) if ids else []
    return [cut_at_stop(text, stop_strings) for text in texts]


class StopAtStrings(StoppingCriteria):
    """Ends rows of `generate` whose completion holds a stop string, and remembers where.

    Differs from the criterion of `transformers`, which sees the prompt's text too: there a prompt
    that ends with `Question` and a completion that begins with `:` hold the string `Question:`.

    Args:
        tokenizer: Turns tokens into text; special tokens count as theirs.
        stop_strings: At least one, none empty.
        prompt_length: Tokens before the completions.

    Attributes:
        ends: Row -> tokens of its completion up to the one that completed a stop string.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        stop_strings: Sequence[str],
        prompt_length: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.stop_strings = stop_strings
        self.prompt_length = prompt_length
        # A token writes at least one byte of a stop string that it is needed for.
        self.num_last = 1 + max(len(stop.encode()) for stop in stop_strings)
        self.ends: dict[int, int] = {}

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Say of each row whether it has ended, (B,)."""
        start = max(self.prompt_length, input_ids.shape[1] - self.num_last)
        texts = self.tokenizer.batch_decode(input_ids[:, start:])
        for row, text in enumerate(texts):
            if row not in self.ends and any(stop in text for stop in self.stop_strings):
                self.ends[row] = input_ids.shape[1] - self.prompt_length
        is_over = [row in self.ends for row in range(len(texts))]
        return torch.tensor(is_over, device=input_ids.device)
