"""Where batches come from: what a source is asked with, and what it gives back.

A source turns the policy of one moment into the rows of one generation batch. There are two:
prompts with rewards (`rl.training.prompt_source`) and self-play (`rl.selfplay.source`). Whatever it
needs is handed to it, and whatever it found is in the batch; between two calls it keeps nothing but
the memories that are in `signals`. So it does not matter when it is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from accelerate import Accelerator
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rl.data.chat_parts import NO_IMAGES
from rl.data.images import PromptImage
from rl.groups.scoring import ScoredGroup
from rl.rollouts.engine import RolloutEngine, Sample
from rl.training.config import LabelFreeConfig
from rl.training.costs import CostMeter
from rl.training.run_images import RunImages


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The policy as it is when a source is asked, and what belongs to its run.

    Attributes:
        engine: Samples; it holds the weights of this policy, or has what was asked of it ahead.
        model: The newest weights, for forward passes without gradient.
        tokenizer: The policy's.
        accelerator: Knows the ranks.
        costs: Where the source counts what it spends.
        config: Settings of the run.
        version: Optimizer steps the weights have taken that completions come from.
        images: Those of the run's prompts; None for a model of text alone.
    """

    engine: RolloutEngine
    model: Any
    tokenizer: PreTrainedTokenizerBase
    accelerator: Accelerator
    costs: CostMeter
    config: LabelFreeConfig
    version: int
    images: RunImages | None = None

    def images_of(self, example: Mapping[str, Any]) -> tuple[PromptImage, ...]:
        """Read the images of a prompt, given as its row of the training set."""
        return () if self.images is None else self.images.of(example)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trained completion.

    Attributes:
        prompt_ids: Tokens of the prompt.
        sample: Tokens of the completion, and what the engine says of them.
        prompt: Text or chat messages, for logs.
        completion: Text without special tokens, for logs.
        pseudo_label: The answer that its group's vote takes for right; None: no vote, or none won.
        image_row: Row of the training set whose images the prompt has; -1: it has none.
    """

    prompt_ids: list[int]
    sample: Sample
    prompt: str | list[dict[str, Any]]
    completion: str
    pseudo_label: str | None = None
    image_row: int = NO_IMAGES


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One generation batch: R rows on all ranks, as many on each, in rank order.

    Attributes:
        rows: Those of this rank.
        rewards_by_name: What each of F rewards gave, NaN where it gave nothing, (R, F).
        rewards: The summed reward, NaN where a row cannot be scored, (R,).
        advantages: What the update weighs each row with, (R,). A row without reward and advantage
            counts nowhere.
        groups: Number of the group each row belongs to, from 0, (R,).
        metrics: Name -> number, to be logged.
        rollout_lines: A line of the rollout file for each sampled completion, trained or not, but
            for the step; read on the main process only.
        policy_version: `Policy.version` of the policy that sampled.
        alarms: One clear line for each thing that looks wrong.
        sampled: The groups, in the order of their numbers, alike on all ranks; a source whose rows
            are not those of prompts has none.
    """

    rows: Sequence[Row]
    rewards_by_name: Tensor
    rewards: Tensor
    advantages: Tensor
    groups: Tensor
    metrics: Mapping[str, float]
    rollout_lines: Iterable[Mapping[str, Any]]
    policy_version: int
    alarms: Sequence[str] = field(default_factory=tuple)
    sampled: Sequence[ScoredGroup] = field(default_factory=tuple)


class Source(Protocol):
    """Gives the host one batch after another.

    Attributes:
        reward_names: What the columns of `Batch.rewards_by_name` are called.
        signals: Name -> what has a memory that belongs into checkpoints (`rl.groups.memory`).
        needs_token_statistics: Whether `Policy.model` must be able to tell statistics of tokens
            (`rl.groups.token_statistics.add_token_statistics`).
    """

    reward_names: list[str]
    signals: dict[str, Any]
    needs_token_statistics: bool

    def next_batch(self, inputs: Sequence[Mapping[str, Any]], policy: Policy, index: int) -> Batch:
        """Make the next batch; every rank must call it.

        Args:
            inputs: Rows of the training set, as many as this rank is to get.
            policy: Samples.
            index: Number of the batch, from 0.
        """
        ...
