"""What a reward asks the policy about a group, and what the policy replied."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from rl.errors import InputError

# Text, or chat messages such as {"role": "user", "content": "..."}.
Prompt: TypeAlias = str | list[dict[str, str]]
MAX_ROUNDS = 8  # a reward that asks anew after so many would never end


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One sampled completion of a question.

    Attributes:
        completion: Its text, special tokens removed.
        num_tokens: Sampled tokens, the end token included.
        truncated: Whether sampling stopped at the length limit instead of at an end token.
    """

    completion: str
    num_tokens: int
    truncated: bool

    def text(self, *, thinking: bool) -> str:
        """The completion as it is to be read: with the start of a thought the prompt opened."""
        return f"<think>{self.completion}" if thinking else self.completion


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something a reward asks the policy about a group.

    Attributes:
        key: Its name among all that the reward asks about the group; one that was asked is not
            asked again. Made of what is asked, not of the order of the rollouts.
        prompt: Chat messages, or text, which becomes a user's turn where the run's prompts are
            chats. The text of special tokens is taken out of it: it may hold model text. Images of
            the group's prompt are shown in front of it.
        num_samples: Replies wanted, at least 1.
        max_tokens: Most tokens of a reply; None: the run's `max_completion_length`.
    """

    key: str
    prompt: Prompt
    num_samples: int = 1
    max_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question that was asked, and its replies.

    Attributes:
        key: The question's.
        prompt: The question's, as the policy was given it.
        replies: As many as were wanted; none where the prompt left no room for a reply in the
            model's context.
    """

    key: str
    prompt: Prompt
    replies: tuple[Answered, ...]


def checked_questions(what: str, given: Any) -> list[Question]:
    """Return what a reward asks, if it is questions, each with a key of its own.

    Args:
        what: Who asks, for messages.
        given: What its method `questions` returned.

    Raises:
        InputError: If it is not.
    """
    questions = list(given) if isinstance(given, list | tuple) else [given]
    for question in questions:
        is_question = isinstance(question, Question) and isinstance(question.key, str)
        if not (is_question and _is_prompt(question.prompt) and question.num_samples >= 1):
            raise InputError(
                f"{what}: got {str(question)[:200]}, expected a list of rl.questions.Question with "
                "a key, a prompt and num_samples from 1 on. Mend its method `questions`."
            )
        if question.max_tokens is not None and question.max_tokens < 1:
            raise InputError(
                f"{what}: got max_tokens {question.max_tokens}, expected at least 1, or None. Mend "
                "its method `questions`."
            )
    if len({question.key for question in questions}) < len(questions):
        raise InputError(
            f"{what}: got a key twice for one group, expected each question's own. Mend its method "
            "`questions`."
        )
    return questions


def _is_prompt(prompt: Any) -> bool:
    if isinstance(prompt, str):
        return bool(prompt)
    return bool(prompt) and all(
        isinstance(message, dict)
        and all(isinstance(message.get(name), str) for name in ("role", "content"))
        for message in prompt
    )
