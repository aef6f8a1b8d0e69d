"""The interface every rollout engine has; the trainer and the evaluator know nothing else of it."""

import hashlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from pydantic import Field

from rl.settings import Length, NonNegative, Positive, PositiveShare, Share, checked
from rl.types import Branch

if TYPE_CHECKING:
    from rl.data.images import PromptImage

# The images of each prompt of a call, in the order of their places; None: of no prompt.
Images: TypeAlias = "Sequence[Sequence[PromptImage]] | None"
TopK = Annotated[int, Field(ge=0, lt=2**31)]


@checked
@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How completions are sampled; names and meanings are TRL's.

    Attributes:
        max_completion_length: Most tokens sampled per completion, the end token included.
        temperature: Divides the logits; 0.0 is greedy decoding.
        top_p: Smallest set of tokens with at least this probability is kept; 1.0 keeps all.
        top_k: Number of most likely tokens kept; 0 keeps all.
        min_p: Tokens below this share of the likeliest token's probability are dropped; 0.0 is off.
        repetition_penalty: Above 1.0 makes tokens seen before less likely; 1.0 is off.
        stop_strings: A completion ends with the token that completes one of them; none is empty.
    """

    max_completion_length: Length
    temperature: NonNegative = 1.0
    top_p: PositiveShare = 1.0
    top_k: TopK = 0
    min_p: Share = 0.0
    repetition_penalty: Positive = 1.0
    stop_strings: tuple[str, ...] = ()

    @property
    def is_full_distribution(self) -> bool:
        """Whether tokens come from the policy's whole (tempered) distribution, nothing cut off."""
        return (self.top_p, self.top_k, self.min_p, self.repetition_penalty) == (1.0, 0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sampled completion.

    Attributes:
        completion_ids: Sampled tokens, the end token, or the last of a stop string, included.
        truncated: Whether sampling stopped at the length limit instead of at an end token or a
            stop string.
        sampling_per_token_logps: Log-probability of each token under the distribution it was drawn
            from, in nats; None where the engine does not report it.
        branch: Where it left another completion; None for one that was sampled from the prompt on.
        num_pruned: Tokens sampled behind the last one that was kept.
    """

    completion_ids: list[int]
    truncated: bool
    sampling_per_token_logps: list[float] | None = None
    branch: Branch | None = None
    num_pruned: int = 0


class RolloutEngine(Protocol):
    """Samples completions of tokenized prompts under the weights it holds.

    Attributes:
        settings: How completions are sampled.
    """

    settings: SamplingSettings

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
    ) -> list[list[Sample]]:
        """Sample `num_samples` completions of each prompt.

        Sample i of a prompt depends on the prompt, its images, its seed and i alone, not on the
        other prompts of the call, on their order or on `num_samples`, up to rounding: batches of
        another shape may round a log-probability differently.

        Args:
            prompt_ids: P tokenized prompts.
            num_samples: Samples per prompt, at least 1.
            seeds: One seed per prompt, in [0, 2**63).
            first_sample: Number i of the first sample: a later call goes on where one stopped.
            images: Those of each prompt, whose tokens have all places of an image's tokens, as the
                model reads them (`rl.data.image_inputs`). Not given where no prompt has any: an
                engine for text alone need not know the argument.

        Returns:
            For each prompt, in order, its samples, in order.
        """
        ...

    def sync_weights(self) -> None:
        """Take over the trained model's current weights. Every rank must call it."""
        ...

    def close(self) -> None:
        """Free what the engine holds: processes, memory, temporary files."""
        ...


def images_argument(images: Images) -> dict[str, Any]:
    """Return the argument `images` of a call, if one of its prompts has any."""
    return {"images": images} if images and any(images) else {}


SAMPLING_RANGES = {
    "max_completion_length": Length,
    "temperature": NonNegative,
    "top_p": PositiveShare,
}


def with_settings(engine: RolloutEngine, settings: SamplingSettings) -> RolloutEngine:
    """Return the same engine, with the same weights, sampling in another way; close only one."""
    other = copy(engine)
    other.settings = settings
    return other


def derive_seed(*parts: object) -> int:
    """Hash the parts (run seed, prompt id, visit, ...) to a seed in [0, 2**63)."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
