"""What a self-play game and the trainer that hosts it know of each other.

A game asks for samples, makes rewards and advantages of them, and remembers. It samples through a
`RequestSampler`, which spreads the requests over ranks and gives every rank all completions; each
rank then computes the same game. So a game depends on its samples, its seed and the step alone: no
clock, no iteration over sets, no global random state.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol, TypeAlias

from rl.data.chat_parts import NO_IMAGES
from rl.questions import Answered, Prompt

# Number of tokens of a text, without any added by a chat template.
CountTokens: TypeAlias = Callable[[str], int]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Something to sample.

    Attributes:
        key: Unique in the round and the same on every rank; seeds come from (run seed, step, key).
        role: "questioner", "responder", "verifier", ... also for samples that are never trained,
            such as "grounding".
        prompt: What the policy continues.
        num_samples: Completions wanted, at least 1.
        image_row: Row of the training set whose images the prompt has places for; -1: it has none.
    """

    key: str
    role: str
    prompt: Prompt
    num_samples: int
    image_row: int = NO_IMAGES


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One completion and what the game made of it.

    Attributes:
        request: What it was sampled for.
        sample: Its number among the request's completions, from 0.
        completion: Its text.
        num_tokens: Sampled tokens, the end token included.
        truncated: Whether sampling stopped at the length limit.
        reward: Its reward in its role; None where there is none.
        advantage: What the update weighs it with, computed by the game; None where not trained.
        trained: Whether the policy is updated on it.
        answer: What was read from it: an answer, a verdict, a question; None if nothing could be.
        rewards: Parts of the reward, for the rollout file; None where a part does not apply.
    """

    request: Request
    sample: int
    completion: str
    num_tokens: int
    truncated: bool
    reward: float | None
    advantage: float | None
    trained: bool
    answer: str | None = None
    rewards: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one step of a game was.

    Attributes:
        episodes: Every sampled completion of every role, trained or not.
        metrics: Name -> number, the same names every round; logged as selfplay/<name>. Not a number
            (NaN) where a round has nothing to measure.
        alarms: One clear line for each thing that looks wrong.
    """

    episodes: list[Episode]
    metrics: dict[str, float]
    alarms: list[str] = field(default_factory=list)


class RequestSampler(Protocol):
    """Samples completions under the current policy."""

    def __call__(self, requests: Sequence[Request]) -> list[list[Answered]]:
        """Return for each request, in order, its `num_samples` completions; the same on each rank.

        A completion depends on its request and its number alone, not on the other requests.
        """
        ...

    def frozen(self, requests: Sequence[Request]) -> list[list[Answered]] | None:
        """The same under the frozen policy the run started from; None if the run keeps none."""
        ...

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, without any added by a chat template."""
        ...


class Game(Protocol):
    """A game that the policy plays with itself.

    It may also have `preview(count_tokens, max_prompt_tokens)`, called on the main process before a
    model is loaded: it raises `InputError` if it cannot be played with prompts of so many tokens
    (None: any number), and returns what the user should know about it, name -> text.

    Attributes:
        roles: Names of the roles that are trained.
        max_trained: Most episodes of a round that are trained.
    """

    roles: tuple[str, ...]
    max_trained: int

    def play(self, sample: RequestSampler, step: int) -> Round:
        """Play one round, which may be empty.

        Args:
            sample: Gives completions.
            step: Number of the round, from 0.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What is remembered between rounds, as plain JSON."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, also after a trip through JSON."""
        ...


def as_prompt(text: str, *, chat: bool) -> Prompt:
    """Make a prompt of a text: chat messages of one user turn, or the text itself."""
    return [{"role": "user", "content": text}] if chat else text


def mean_or_nan(values: Sequence[float]) -> float:
    """Average for a metric; NaN where there is nothing to average."""
    return fmean(values) if values else math.nan


def make_episode(
    request: Request,
    sample: int,
    answered: Answered,
    *,
    reward: float | None = None,
    advantage: float | None = None,
    answer: str | None = None,
    rewards: Mapping[str, float | None] | None = None,
) -> Episode:
    """Make an episode of a completion; it is trained if it has an advantage."""
    return Episode(
        request=request,
        sample=sample,
        completion=answered.completion,
        num_tokens=answered.num_tokens,
        truncated=answered.truncated,
        reward=reward,
        advantage=advantage,
        trained=advantage is not None,
        answer=answer,
        rewards=dict(rewards or {}),
    )
