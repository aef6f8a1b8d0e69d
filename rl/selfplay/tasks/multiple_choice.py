"""Questions with four options, answered with a letter.

Source: SPELL, arXiv 2509.23863, multiple choice. Reference code: Tongyi-Zhiwen/Qwen-Doc,
    SPELL/verl/verl/utils/reward_score/long.py.
Differs: the letter that the questioner is told to make right takes turns, and the options are
    shuffled (seeded) after it; in the code the letter was never filled in. A letter has to stand
    alone: the code reads B from "the answer is Berlin".
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rl.answers import extract_answer
from rl.selfplay.proposals import BAD_FORMAT, Proposal, Rejected, last_json_object, text_field
from rl.selfplay.tasks.task import normalize_text, read_final_answer
from rl.settings import checked

LETTERS = "ABCD"
# A small letter that nothing marks as an option is an article.
_LETTER = re.compile(
    r"(?i:(?:the )?(?:option|choice|letter)\b)?[\s(\[*]*([A-D])(?![\w'\u2019-])"
    r"|(?i:(?:the )?(?:option|choice|letter))[\s*]+([a-d])(?!\w)"
    r"|[\s*]*[(\[]?([a-d])(?:[)\]]|[\s*.]*$)"
)


@checked
@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    """Questions with the options A to D.

    Attributes:
        shuffle_options: Whether options change places before they are shown to the responder.
    """

    shuffle_options: bool = True
    name: str = field(default="multiple_choice", init=False)
    chance: float = field(default=1 / len(LETTERS), init=False)

    def questioner_slots(self, visit: int, rng: random.Random) -> Mapping[str, str]:
        """`letter`: the option that has to be the right one; each is used in one of four visits."""
        return {"letter": LETTERS[visit % len(LETTERS)]}

    def read_proposal(
        self, text: str, rng: random.Random, count_tokens: Callable[[str], int]
    ) -> Proposal | Rejected:
        """Read `{"question": text, "options": {"A": text, ...}, "answer": letter}`.

        Options have to have exactly the keys A to D and differ from each other.
        """
        found = last_json_object(text) or {}
        question, letter = text_field(found, "question"), text_field(found, "answer")
        given = found.get("options")
        if question is None or letter is None or letter not in LETTERS or len(letter) != 1:
            return BAD_FORMAT
        if not isinstance(given, dict) or sorted(given) != list(LETTERS):
            return BAD_FORMAT
        texts = {key: text_field(given, key) or "" for key in LETTERS}
        if not all(texts.values()) or len({normalize_text(t) or t for t in texts.values()}) < 4:
            return BAD_FORMAT
        places = list(LETTERS)
        if self.shuffle_options:
            rng.shuffle(places)
        options = dict(sorted(zip(places, texts.values(), strict=True)))
        return Proposal(question=question, options=options, answer=places[LETTERS.index(letter)])

    def show_question(self, proposal: Proposal) -> str:
        """The question, and one option a line."""
        options = [f"{letter}. {text}" for letter, text in proposal.options.items()]
        return "\n".join([proposal.question, *options])

    def show_answer(self, proposal: Proposal, answer: str) -> str:
        """The letter with its option's text."""
        return f"{answer}. {proposal.options[answer]}" if answer in proposal.options else answer

    def read_answer(self, text: str) -> str | None:
        r"""The letter of the last box, or at the start of what follows the last "answer is".

        Example:
            >>> task = MultipleChoice()
            >>> task.read_answer("The answer is (b) Rome."), task.read_answer(r"So \boxed{B}.")
            ('B', 'B')
            >>> task.read_answer("The answer is Rome"), task.read_answer("The answer is a city")
            (None, None)
        """
        boxed = extract_answer(text, methods=("boxed",), choices=LETTERS)
        if boxed is not None:
            return boxed
        letter = _LETTER.match(read_final_answer(text) or "")
        return (letter[1] or letter[2] or letter[3]).upper() if letter else None

    def rule_check(self, answer: str, reference: str) -> float:
        """1.0 if both are the same letter."""
        return float(answer == reference)
