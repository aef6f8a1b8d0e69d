"""Questions over several documents, answered in a few words.

Source: SPELL, arXiv 2509.23863, general document QA. Reference code: Tongyi-Zhiwen/Qwen-Doc,
    SPELL/verl/verl/utils/reward_score/docqa.py with its scripts' DOC_QA_METRIC=sub_em_strict.
Differs: punctuation of every script is dropped, not ASCII's alone. Stricter than published, and off
    unless set: `match="words"`, `max_answer_words`, `refuse_candidates`.
Fails when: an answer lists candidates, or holds the reference by chance (6 is in 16).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import PositiveInt

from rl.selfplay.tasks.task import PlainTask, normalize_text, read_final_answer
from rl.settings import checked

# Thai, Lao, Burmese, Khmer; kana, Chinese characters.
_WITHOUT_SPACES = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)
_BETWEEN_CANDIDATES = re.compile(r"\bor\b|[;/|\n]", re.IGNORECASE)


@checked
@dataclass(frozen=True, kw_only=True)
class DocumentQA(PlainTask):
    """Multi-document question answering.

    Attributes:
        max_reference_tokens: A reference answer of more tokens drops its question, without a
            penalty.
        max_answer_words: An answer of more words is wrong, whatever it contains; None: no limit.
        match: "substring": the reference's characters stand in the answer one after the other;
            "words": its words do, so that 6 is not in 16. In scripts without spaces between words
            each character is one.
        refuse_candidates: Whether an answer that names several candidates ("7 or 8") is wrong.
    """

    max_reference_tokens: PositiveInt = 40
    max_answer_words: PositiveInt | None = None
    match: Literal["substring", "words"] = "substring"
    refuse_candidates: bool = False
    name: str = field(default="document_qa", init=False)
    chance: float = field(default=0.0, init=False)

    def is_usable(self, answer: str, count_tokens: Callable[[str], int]) -> bool:
        """An answer of some words, and not of too many tokens."""
        return bool(normalize_text(answer)) and count_tokens(answer) <= self.max_reference_tokens

    def read_answer(self, text: str) -> str | None:
        """What follows the last "answer is"."""
        return read_final_answer(text)

    def rule_check(self, answer: str, reference: str) -> float:
        """Cover exact match, in one direction: 1.0 if the answer contains the reference.

        Both are normalised first (`rl.selfplay.tasks.task.normalize_text`). An empty reference is
        contained in nothing.

        Example:
            >>> task = DocumentQA()
            >>> task.rule_check("in Paris, France", "Paris"), task.rule_check("Paris", "in Paris")
            (1.0, 0.0)
        """
        ours, theirs = normalize_text(answer), normalize_text(reference)
        if self.match == "words":
            ours, theirs = _as_words(ours), _as_words(theirs)
        is_long = self.max_answer_words is not None and len(ours.split()) > self.max_answer_words
        if not theirs.strip() or is_long:
            return 0.0
        if self.refuse_candidates and _num_candidates(answer) > max(1, _num_candidates(reference)):
            return 0.0
        return float(theirs in ours)


def _as_words(text: str) -> str:
    """One space around each word, and around each character of a script without spaces."""
    words = _WITHOUT_SPACES.sub(r" \1 ", text).split()
    return f" {' '.join(words)} "


def _num_candidates(text: str) -> int:
    return sum(bool(part.strip()) for part in _BETWEEN_CANDIDATES.split(text))
