"""Votes only as long as they are needed: sampling goes on until the leading answer is certain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from rl.answers.votes import count_votes, leader_certainty
from rl.errors import InputError
from rl.rollouts.engine import Images, RolloutEngine, Sample, images_argument
from rl.settings import NumSamples, build, checked


@checked
@dataclass(frozen=True, kw_only=True)
class VoteBudget:
    """How many completions of a prompt vote.

    Attributes:
        min: Sampled at once, at least 1.
        max: Most of one prompt, at least `min`.
        confidence: Sampling stops once `leader_certainty` has reached this, in [0.5, 1]; 1.0 never
            is, so all are sampled.
        chunk: Sampled at a time after the first.
    """

    min: NumSamples
    max: NumSamples
    confidence: Annotated[float, Field(ge=0.5, le=1)] = 0.95
    chunk: NumSamples = 8

    def __post_init__(self) -> None:
        if self.max < self.min:
            raise InputError(
                f"num_votes.max: got {self.max}, expected at least num_votes.min ({self.min}). "
                "Change one."
            )

    def is_decided(self, clusters: Sequence[int | None]) -> bool:
        """Say whether these votes are enough.

        Args:
            clusters: Class of each answer so far; no answer, None, votes for nothing.
        """
        if len(clusters) >= self.max:
            return True
        counts = count_votes(clusters).counts.values()
        return len(clusters) >= self.min and leader_certainty(counts) >= self.confidence


def read_vote_budget(setting: int | Mapping[str, Any]) -> VoteBudget:
    """Turn the setting `num_votes` into a budget: a number, or {min, max, confidence, chunk}.

    Raises:
        InputError: If a key is unknown or missing, or a value out of range.
    """
    if isinstance(setting, int):
        setting = {"min": setting, "max": setting}
    return build("num_votes", VoteBudget, setting)


@dataclass(frozen=True, kw_only=True)
class SavedVotes:
    """What was not sampled, because the votes were decided.

    Attributes:
        num_completions: Completions.
        num_tokens: Their tokens, had they been as long as the sampled ones of the same prompt.
    """

    num_completions: int
    num_tokens: float


def count_saved(lengths: Sequence[Sequence[int]], max_votes: int) -> SavedVotes:
    """Count what was saved on `max_votes` completions of every prompt.

    Args:
        lengths: For each prompt the tokens of its sampled completions, at least one.
        max_votes: Most votes of a prompt.
    """
    missing = [max_votes - len(row) for row in lengths]
    return SavedVotes(
        num_completions=sum(missing),
        num_tokens=sum(n * sum(row) / len(row) for n, row in zip(missing, lengths, strict=True)),
    )


def sample_votes(
    engine: RolloutEngine,
    prompt_ids: Sequence[list[int]],
    seeds: Sequence[int],
    budget: VoteBudget,
    classify: Callable[[list[Sample]], list[int | None]],
    is_over_on_all_ranks: Callable[[bool], bool],
    images: Images = None,
) -> list[list[Sample]]:
    """Sample each prompt until its vote is decided; the undecided ones share the next call.

    The first samples of a prompt are those a larger fixed number would begin with.

    Args:
        engine: Samples.
        prompt_ids: P tokenized prompts.
        seeds: One per prompt.
        budget: When to stop.
        classify: Class of each answer among the samples of one prompt.
        is_over_on_all_ranks: Whether every rank is done, given whether this one is: sampling from a
            sharded model is collective.
        images: Of each prompt.

    Returns:
        For each prompt its samples, between `budget.min` and `budget.max` of them.
    """
    samples: list[list[Sample]] = [[] for _ in prompt_ids]
    waiting = list(range(len(samples)))
    num_sampled = 0
    while True:
        size = min(budget.max - num_sampled, budget.chunk if num_sampled else budget.min)
        new = engine.generate(
            [prompt_ids[i] for i in waiting],
            size,
            [seeds[i] for i in waiting],
            first_sample=num_sampled,
            **images_argument(images and [images[i] for i in waiting]),
        )
        num_sampled += size
        for i, more in zip(waiting, new, strict=True):
            samples[i] += more
        if budget.min == budget.max:
            return samples
        waiting = [i for i in waiting if not budget.is_decided(classify(samples[i]))]
        if is_over_on_all_ranks(not waiting):
            return samples
