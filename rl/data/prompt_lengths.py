"""Prompts that are too long: dropped with a count, refused, or cut in the middle."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from rl.data.yaml_text import read_yaml_file
from rl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PromptFacts:
    """Which prompts of its source a run trains on; config.yaml holds this under `prompts`.

    Attributes:
        num_in_source: Prompts before any was dropped.
        dropped_rows: Positions in the source, from 0, of those that were too long.
        limit: Most tokens of a prompt, its chat template included; None if nothing limits it.
        longest: Tokens of the longest prompt that is trained on.
        fingerprint: 16 hex digits over position, text and images of those that are trained on.
        unreadable_rows: Positions of those with an image that cannot be read.
    """

    num_in_source: int
    dropped_rows: list[int]
    limit: int | None
    longest: int
    fingerprint: str
    unreadable_rows: list[int] = field(default_factory=list)

    @property
    def num_trained(self) -> int:
        """Prompts that are trained on."""
        return self.num_in_source - len(self.dropped_rows) - len(self.unreadable_rows)

    def __str__(self) -> str:
        """Say how many were dropped."""
        num_dropped = len(self.dropped_rows)
        share = num_dropped / self.num_in_source
        return (
            f"{num_dropped} of {self.num_in_source} prompts ({share:.2%}) dropped, being longer "
            f"than {self.limit} tokens"
        )


def cut_middle(token_ids: Sequence[int], max_length: int | None) -> list[int]:
    """Keep the first and the last half of a prompt that is too long.

    Source: LongBench (pred.py) and LongBench v2, as QwenLong-L1 and SPELL evaluate. Differs: token
        ids are kept as they are, where these decode them and encode the text again.

    Args:
        token_ids: The prompt with its chat template.
        max_length: Most tokens, at least 1; None: any number. Of an odd number the end has one
            more.

    Example:
        >>> cut_middle([1, 2, 3, 4, 5, 6], 3), cut_middle([1, 2], 2), cut_middle([1, 2], None)
        ([1, 5, 6], [1, 2], [1, 2])
    """
    if max_length is None or len(token_ids) <= max_length:
        return list(token_ids)
    first = max_length // 2
    return [*token_ids[:first], *token_ids[len(token_ids) - (max_length - first) :]]


def prompt_limit(
    max_prompt_length: int, context: int | None, max_completion_length: int
) -> int | None:
    """Return the most tokens a prompt may have; None if nothing limits it.

    Args:
        max_prompt_length: The limit that was set; 0 for none.
        context: Tokens of prompt and completion that the model or its engine takes; None if
            unknown.
        max_completion_length: Most tokens of a completion.

    Raises:
        InputError: If the context has no room for a prompt, or for one of the limit that was set.

    Example:
        >>> prompt_limit(0, 4096, 3072), prompt_limit(512, 4096, 3072), prompt_limit(0, None, 3072)
        (1024, 512, None)
    """
    if context is None:
        return max_prompt_length or None
    room = context - max_completion_length
    if room < 1:
        raise InputError(
            f"max_completion_length: got {max_completion_length}, expected less than the context "
            f"of {context}, which holds the prompt too. Lower it."
        )
    if max_prompt_length > room:
        raise InputError(
            f"max_prompt_length: got {max_prompt_length}, expected at most {room} (context of "
            f"{context} minus max_completion_length {max_completion_length}). Lower one of the "
            "two; max_prompt_length 0 takes what fits."
        )
    return max_prompt_length or room


def keep_short_prompts(
    prompts: Dataset, lengths: Sequence[int], limit: int | None, refuse: bool = False
) -> tuple[Dataset, PromptFacts]:
    """Drop the prompts that are longer than the limit; the others keep their order and `row`.

    Args:
        prompts: At least one; columns `row` and `prompt_id` among others.
        lengths: Tokens of each.
        limit: Most tokens of a prompt; None drops none.
        refuse: Whether a prompt that is too long is an error.

    Raises:
        InputError: If none is left, or one is too long and that is an error.
    """
    kept = [i for i, length in enumerate(lengths) if limit is None or length <= limit]
    if not kept:
        raise InputError(
            f"prompts: got {len(lengths)} of {min(lengths)} tokens or more, expected some of at "
            f"most {limit}. Raise max_prompt_length, or lower max_completion_length."
        )
    rows = prompts["row"]
    dropped = sorted(set(range(len(lengths))) - set(kept))
    if dropped and refuse:
        longest = max(dropped, key=lengths.__getitem__)
        raise InputError(
            f"prompt in row {rows[longest]}: got {lengths[longest]} tokens, expected at most "
            f"{limit}, as in {len(dropped)} of {len(lengths)} prompts. Shorten or remove them, "
            "lower max_completion_length, or set overlong_prompts: drop."
        )
    chosen = prompts.select(kept) if dropped else prompts
    known = zip(chosen["row"], chosen["prompt_id"], strict=True)
    digest = hashlib.sha256("".join(f"{row} {name}\n" for row, name in known).encode())
    return chosen, PromptFacts(
        num_in_source=len(lengths),
        dropped_rows=[rows[i] for i in dropped],
        limit=limit,
        longest=max(lengths[i] for i in kept),
        fingerprint=digest.hexdigest()[:16],
    )


def check_problem_lengths(name: str, lengths: Mapping[str, int], room: int | None) -> None:
    """Check that every problem of an evaluation leaves room for a completion: it drops none.

    Args:
        name: The benchmark's.
        lengths: Problem id -> tokens of its prompt.
        room: Most tokens; None if nothing limits it.

    Raises:
        InputError: If a problem is longer; the message names the longest.
    """
    longest = max(lengths, key=lengths.__getitem__)
    if room is not None and lengths[longest] > room:
        raise InputError(
            f"{name}, problem {longest!r}: got {lengths[longest]} tokens, expected at most {room}, "
            "since an evaluation drops none. Raise vllm_max_model_length, lower "
            "max_completion_length, or name a benchmark without it."
        )


def check_same_prompts(config_file: Path, facts: PromptFacts) -> None:
    """Check that a resumed run trains on the prompts it was started with.

    Args:
        config_file: What the run wrote at its start; without facts in it nothing is checked.
        facts: Of the prompts as they are now.

    Raises:
        InputError: If other prompts, or others of them, would be trained on.
    """
    document = read_yaml_file(config_file) if config_file.is_file() else None
    saved = document.get("prompts") if isinstance(document, dict) else None
    if saved and saved["fingerprint"] != facts.fingerprint:
        left_out = [*saved["dropped_rows"], *saved.get("unreadable_rows", ())]
        kept = saved["num_in_source"] - len(left_out)
        raise InputError(
            f"dataset: got {facts.num_trained} prompts, expected the {kept} that the run in "
            f"{config_file.parent} was started with. Give it the same dataset, model and "
            "max_prompt_length, start anew in another output_dir, or say that it is meant: "
            "--accept_changes '[dataset]'."
        )
