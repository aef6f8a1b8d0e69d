r"""The testbed's task: sums and products of values that are written in several tiny notes.

A note is `37 15 98`, three facts: the third name, c, has the value 7, a has 5, and i has 8. A
question is a sum of names, `a+c+i`, or the product of two; its questioner writes it as
`{"q":"a+c+i","a":20}`, and its responder ends with `\boxed{20}`. The rule check wants the very same
text, so `20.0` is for the verifier to judge.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from rl.answers import extract_answer
from rl.selfplay.tasks.task import PlainTask
from rl.settings import checked

_QUESTION = re.compile(r"[a-z0-9]{1,2}((\+[a-z0-9]{1,2}){0,7}|\*[a-z0-9]{1,2})")
_NUMBER = re.compile(r"[0-9]{1,2}")


@checked
@dataclass(frozen=True, kw_only=True)
class NotesTask(PlainTask):
    """Sums over notes."""

    fields: ClassVar[tuple[str, str]] = ("q", "a")
    name: str = field(default="testbed", init=False)
    chance: float = field(default=0.0, init=False)

    def is_question(self, text: str) -> bool:
        """A sum or a product of names."""
        return bool(_QUESTION.fullmatch(text))

    def is_usable(self, answer: str, count_tokens: Callable[[str], int]) -> bool:
        """A number of one or two digits."""
        return bool(_NUMBER.fullmatch(answer))

    def read_answer(self, text: str) -> str | None:
        """What stands in the last box, if it is short."""
        answer = extract_answer(text, methods=("boxed",))
        return answer if answer is not None and len(answer) <= 8 else None

    def rule_check(self, answer: str, reference: str) -> float:
        """1.0 for the same text."""
        return float(answer == reference)
