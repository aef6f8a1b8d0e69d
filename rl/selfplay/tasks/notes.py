r"""The testbed's task: sums and products of values that are written in several tiny notes.

A note is `37 15`, two facts: the third name, c, has the value 7, and a has 5. A question is a sum
of names, `a+c+i`, or the product of two; its questioner writes it as `{"q":"a+c+i","a":19}`, and
its responder ends with `\boxed{19}`. The rule check wants the very same text, so `19.0` is for the
verifier to judge.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rl.answers import extract_answer
from rl.selfplay.proposals import (
    BAD_FORMAT,
    UNUSABLE_ANSWER,
    Proposal,
    Rejected,
    last_json_object,
    text_field,
)
from rl.selfplay.tasks.task import PlainTask
from rl.settings import checked

_QUESTION = re.compile(r"[a-z0-9]{1,2}((\+[a-z0-9]{1,2}){0,7}|\*[a-z0-9]{1,2})")
_NUMBER = re.compile(r"[0-9]{1,2}")


@checked
@dataclass(frozen=True, kw_only=True)
class NotesTask(PlainTask):
    """Sums over notes."""

    name: str = field(default="testbed", init=False)
    chance: float = field(default=0.0, init=False)

    def read_proposal(
        self, text: str, rng: random.Random, count_tokens: Callable[[str], int]
    ) -> Proposal | Rejected:
        """Read `{"q": sum or product, "a": number}`."""
        found = last_json_object(text) or {}
        question, answer = text_field(found, "q"), text_field(found, "a")
        if question is None or answer is None or not _QUESTION.fullmatch(question):
            return BAD_FORMAT
        if not _NUMBER.fullmatch(answer):
            return UNUSABLE_ANSWER
        return Proposal(question=question, answer=answer)

    def read_answer(self, text: str) -> str | None:
        """What stands in the last box, if it is short."""
        answer = extract_answer(text, methods=("boxed",))
        return answer if answer is not None and len(answer) <= 8 else None

    def rule_check(self, answer: str, reference: str) -> float:
        """1.0 for the same text."""
        return float(answer == reference)
