"""What a task brings to self-play: how its questions, answers and rule check are read.

A task is one file of this folder; its prompts are text files in `prompts/<name>/`.
"""

import random
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from rl.answers import after_thought
from rl.plugins import Contract, find
from rl.selfplay.proposals import (
    BAD_FORMAT,
    UNUSABLE_ANSWER,
    Proposal,
    Rejected,
    last_json_object,
    text_field,
)
from rl.settings import build

# By their place, so that a run loads only the tasks it plays.
TASKS: dict[str, str] = {
    "document_qa": "rl.selfplay.tasks.document_qa:DocumentQA",
    "financial_math": "rl.selfplay.tasks.financial_math:FinancialMath",
    "multiple_choice": "rl.selfplay.tasks.multiple_choice:MultipleChoice",
    "testbed": "rl.selfplay.tasks.notes:NotesTask",
}
_CONTRACT = Contract(has=("read_proposal", "show_question", "read_answer", "rule_check"))

_MARKER = re.compile(r"\banswer(?:[ \t]{1,4}is\b|[ \t]{0,4}\*{0,4}[ \t]{0,4}:)", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\{(.{1,1000})\}")
_MAX_ANSWER_CHARACTERS = 2000
_PUNCTUATION = frozenset(string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


class Task(Protocol):
    """A kind of question.

    Attributes:
        name: Its name, and the folder of its prompts.
        chance: Probability that a guess passes the rule check, in [0, 1).
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def chance(self) -> float: ...  # noqa: D102

    def questioner_slots(self, visit: int, rng: random.Random) -> Mapping[str, str]:
        """Further slots of the questioner's prompt at the visit-th visit of a topic."""
        ...

    def read_proposal(
        self, text: str, rng: random.Random, count_tokens: Callable[[str], int]
    ) -> Proposal | Rejected:
        """Read a question from the questioner's completion."""
        ...

    def show_question(self, proposal: Proposal) -> str:
        """The question as responder and verifier see it."""
        ...

    def show_answer(self, proposal: Proposal, answer: str) -> str:
        """An answer, predicted or reference, as the verifier sees it."""
        ...

    def read_answer(self, text: str) -> str | None:
        """Read the responder's answer; None if there is none."""
        ...

    def rule_check(self, answer: str, reference: str) -> float:
        """1.0 if the answer is right by the task's rule, else 0.0."""
        ...


class PlainTask:
    """What most tasks have alike: a question and its answer, read and shown as they are.

    Attributes:
        fields: Where question and answer stand in what the questioner writes.
    """

    fields: ClassVar[tuple[str, str]] = ("question", "answer")

    def questioner_slots(self, visit: int, rng: random.Random) -> Mapping[str, str]:
        """No further slots."""
        return {}

    def read_proposal(
        self, text: str, rng: random.Random, count_tokens: Callable[[str], int]
    ) -> Proposal | Rejected:
        """Read `{"question": text, "answer": text}`; an answer that is not usable is dropped."""
        found = last_json_object(text) or {}
        question, answer = (text_field(found, name) for name in self.fields)
        if question is None or answer is None or not self.is_question(question):
            return BAD_FORMAT
        if not self.is_usable(answer, count_tokens):
            return UNUSABLE_ANSWER
        return Proposal(question=question, answer=answer)

    def is_question(self, text: str) -> bool:
        """Any text is a question."""
        return True

    def is_usable(self, answer: str, count_tokens: Callable[[str], int]) -> bool:
        """Any answer can be compared with."""
        return True

    def show_question(self, proposal: Proposal) -> str:
        """The question alone."""
        return proposal.question

    def show_answer(self, proposal: Proposal, answer: str) -> str:
        """The answer alone."""
        return answer


def get_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """Build a task.

    Args:
        name: A key of `TASKS`, `package.module:attribute` or `path/to/file.py:attribute`.
        settings: The task's settings.

    Raises:
        InputError: If the name or a setting is unknown, or a value breaks its rule.
    """
    task = find(name, TASKS, "selfplay task", contract=_CONTRACT)
    return build(f"selfplay.tasks.{name}", task, settings or {})


def read_final_answer(text: str) -> str | None:
    r"""Return what the text says after its last "answer is" or "answer:".

    Only what follows a closed thought counts, and of that the first line that is not empty, without
    a final full stop, Markdown emphasis and a box.

    Example:
        >>> read_final_answer("I think the answer is 7. No: the answer is **Paris, France**.")
        'Paris, France'
        >>> read_final_answer("It is Paris.") is None
        True
    """
    text = after_thought(text)
    ends = [marker.end() for marker in _MARKER.finditer(text)]
    if not ends:
        return None
    rest = text[ends[-1] :][:_MAX_ANSWER_CHARACTERS].lstrip(" \t\n\r:*")
    answer = rest.partition("\n")[0].strip(" \t\r*`")
    box = _BOX.search(answer)
    if box:
        answer = box[1]
    return answer.removesuffix(".").strip(" *`$") or None


def normalize_text(text: str) -> str:
    """Lower case, without punctuation and the articles a, an, the; one space between words.

    Source: the usual normalisation of SQuAD and HotpotQA, which the paper takes over. Differs:
        punctuation of every script goes.

    Example:
        >>> normalize_text("The  U.S.  Senate's")
        'us senates'
    """
    text = "".join(
        letter
        for letter in text.lower()
        if letter not in _PUNCTUATION and unicodedata.category(letter)[0] != "P"
    )
    return " ".join(_ARTICLE.sub(" ", text).split())
