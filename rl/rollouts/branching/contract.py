"""What a branching rule decides: at which tokens of a completion others leave it, and how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Protocol

from rl.rollouts.engine import Images, RolloutEngine, Sample


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """What a rule is told of one completion, T tokens long; all of it is of the sampling policy.

    Attributes:
        entropies: Of the distribution each token was drawn from, in nats, T numbers, at least 0.
        confidences: How much of that distribution lies on few tokens: -1/k sum of log p over the
            k = 5 likeliest tokens, in nats, T numbers, at least log k (DeepConf, arXiv 2508.15260).
            Empty for a rule without `needs_confidences = True`.
        is_over: Whether the last token ended the completion; False at the length limit.
    """

    entropies: Sequence[float]
    confidences: Sequence[float]
    is_over: bool

    @property
    def num_positions(self) -> int:
        """Tokens at which another completion may leave this one: none leaves it at its end."""
        return len(self.entropies) - self.is_over


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A token that is drawn anew, and all that follows it.

    Attributes:
        position: Number of the token, from 0; what stands before it is shared.
        num_branches: How many completions leave there, beside the one that went on.
    """

    position: int
    num_branches: int


class BranchingEngine(RolloutEngine, Protocol):
    """An engine whose completions may have limits of their own, as branches need them."""

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
        max_lengths: Sequence[int] | None = None,
    ) -> list[list[Sample]]:
        """Sample `num_samples` completions of each prompt.

        Args:
            prompt_ids: See `RolloutEngine.generate`, as for the others.
            num_samples: Likewise.
            seeds: Likewise.
            first_sample: Likewise.
            images: Likewise.
            max_lengths: Most tokens of each prompt's completions, at least 1 and at most
                `max_completion_length`, which None stands for.
        """
        ...


def takes_limits(engine: Any) -> bool:
    """Say whether an engine, or a class of engines, can grow branches: knows `max_lengths`."""
    parameters = signature(engine.generate).parameters.values()
    return any(p.name == "max_lengths" or p.kind is p.VAR_KEYWORD for p in parameters)


class BranchingRule(Protocol):
    """Chooses the forks of completions.

    It may also have
        needs_confidences = True: its rows come with confidences
        num_completions: how many completions of a prompt it makes where every root has all of its
            forks; `num_votes` must be at least that
        num_kept(row: TokenRow) -> int | None: by which completions are cut short once all are
            there: the tokens that are left of one, at least 1; None: all

    Attributes:
        num_roots: Completions of a prompt that are sampled from the prompt on, and may be left.
    """

    num_roots: int

    def forks(self, root: TokenRow) -> Sequence[Fork]:
        """Choose where others leave a completion, the most important fork first.

        Args:
            root: The completion; positions from 0 to `root.num_positions` - 1 may be chosen, each
                once.
        """
        ...
