"""Replies of no policy: what a reward that asks is told where it is only checked."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rl.errors import InputError
from rl.questions import MAX_ROUNDS, Answered, Asked, Question, checked_questions
from rl.types import Group

REPLIES = (
    *("Verdict: yes", "yes", "Best: 1", "1"),
    *("Verdict: no", "no", "Best: 2", "2"),
    *("", "I cannot tell.", "<think>so", "\ud83d{{problem}}\x00"),
    *("```python\nprint(1 + 1)\n```", "```python\nraise SystemExit(2)\n```"),
)
_OF_A_GROUP = ("vote", "group_weight", "group_metrics", "explain")


class Scripted:
    """A reward that asks, told a few words instead of a policy's replies.

    Which word is chosen by a hash of the question, so that the same question always gets the same.
    What a group holds already, as one that a run saved does, is not asked again.

    Args:
        reward: Has `questions`.
    """

    def __init__(self, reward: Any) -> None:
        self.reward = reward

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group."""
        return self.reward(with_scripted_replies(self.reward, group))

    def __getattr__(self, name: str) -> Any:
        """What else the reward has; what takes a group sees the replies too."""
        if name in ("reward", "questions") or name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.reward, name)
        return partial(self._of, found) if name in _OF_A_GROUP else found

    def _of(self, method: Callable[[Group], Any], group: Group) -> Any:
        return method(with_scripted_replies(self.reward, group))


def with_scripted_replies(reward: Any, group: Group) -> Group:
    """Ask round after round, as a run does.

    Raises:
        InputError: If it asks what is no question, or goes on asking.
    """
    for _ in range(MAX_ROUNDS + 1):
        given = checked_questions("this reward, asking", reward.questions(group))
        new = [question for question in given if group.replies(question.key) is None]
        if not new:
            return group
        group = replace(group, asked=(*group.asked, *map(_answer, new)))
    raise InputError(
        f"this reward: got new questions after {MAX_ROUNDS} rounds, expected an end. Let "
        "`questions` return keys that it asked before, or nothing."
    )


def _answer(question: Question) -> Asked:
    replies = []
    for number in range(question.num_samples):
        text = f"{number} {question.prompt}".encode("utf-8", "surrogatepass")
        chosen = REPLIES[hashlib.sha256(text).digest()[0] % len(REPLIES)]
        is_cut = chosen == "<think>so"
        replies.append(Answered(completion=chosen, num_tokens=len(chosen) + 1, truncated=is_cut))
    return Asked(key=question.key, prompt=question.prompt, replies=tuple(replies))
