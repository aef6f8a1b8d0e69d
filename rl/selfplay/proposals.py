"""Read what a questioner wrote: the last JSON object of its text, and what is wrong with it.

The text is the model's and may be anything. Only the JSON decoder reads it, and it sees a bounded
number of characters a bounded number of times; numbers stay text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rl.answers import after_thought

MAX_CHARACTERS = 20_000
MAX_ATTEMPTS = 200

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A question with its reference answer.

    Attributes:
        question: Its text.
        answer: The reference answer; of a multiple-choice question the letter.
        options: Letter -> text of a multiple-choice question, in the order shown; else empty.
    """

    question: str
    answer: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Why there is no question in a completion.

    Attributes:
        reason: One of `REASONS`.
        is_penalised: Whether the questioner pays for it; else the completion is left out.
    """

    reason: str
    is_penalised: bool


BAD_FORMAT = Rejected(reason="bad_format", is_penalised=True)
UNFINISHED = Rejected(reason="unfinished", is_penalised=False)
UNUSABLE_ANSWER = Rejected(reason="unusable_answer", is_penalised=False)
TOO_LONG = Rejected(reason="too_long", is_penalised=False)
REASONS = tuple(r.reason for r in (BAD_FORMAT, UNFINISHED, UNUSABLE_ANSWER, TOO_LONG))


def is_unfinished_thought(text: str) -> bool:
    """Tell whether a thought is opened after the last one that was closed.

    Example:
        >>> is_unfinished_thought("<think>so"), is_unfinished_thought("<think>so</think>{}")
        (True, False)
    """
    return "<think>" in text.rpartition("</think>")[2]


def last_json_object(text: str) -> dict[str, Any] | None:
    r"""Return the last JSON object that follows the thought, or None.

    Objects within objects do not count, nor does text around them. Numbers are returned as the text
    they were written with. Only the last `MAX_CHARACTERS` characters and the last `MAX_ATTEMPTS`
    opening braces are looked at.

    Example:
        >>> last_json_object('<think>{"a": 1}</think> So {b}:\n```json\n{"a": {"c": 2.50}}\n```')
        {'a': {'c': '2.50'}}
    """
    text = after_thought(text)[-MAX_CHARACTERS:]
    starts = [position for position, character in enumerate(text) if character == "{"]
    found, end = None, 0
    for start in starts[-MAX_ATTEMPTS:]:
        if start < end:
            continue
        try:
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
    return found


def text_field(value: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is text, or a number as text, without outer whitespace; None if empty.

    Example:
        >>> text_field({"a": " 7 ", "b": ["7"]}, "a"), text_field({"b": ["7"]}, "b")
        ('7', None)
    """
    text = value.get(name)
    return text.strip() or None if isinstance(text, str) else None
