"""Sampling a batch's votes as trees: the policy tells where it was unsure, the engine goes on."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from accelerate.utils import gather_object

from rl.groups.token_statistics import measure_tokens
from rl.rollouts.ahead_engine import Request
from rl.rollouts.branching.contract import BranchingRule, TokenRow
from rl.rollouts.branching.tree import sample_trees
from rl.rollouts.engine import Images, Sample
from rl.training.source import Policy


def sample_branches(request: Request, rule: BranchingRule, policy: Policy) -> list[list[Sample]]:
    """Sample the votes of some prompts as trees; every rank must call it.

    What it costs beside sampling is a forward pass without gradient over the roots, and one over
    all completions for a rule that prunes (`cost/branching_seconds`).

    Args:
        request: What plain sampling would be asked for.
        rule: Chooses the forks.
        policy: Samples, and measures with the weights that sampled.
    """
    engine: Any = policy.engine  # its `max_lengths` was looked for before the run began
    return sample_trees(
        engine,
        request.prompt_ids,
        request.seeds,
        request.num_samples,
        rule,
        lambda rows, images: measure_rows(
            rows, policy, getattr(rule, "needs_confidences", False), images
        ),
        lambda numbers: list(chain.from_iterable(gather_object([numbers]))),
        request.images,
    )


def measure_rows(
    rows: Sequence[tuple[list[int], Sample]],
    policy: Policy,
    with_confidence: bool,
    images: Images = None,
) -> list[TokenRow]:
    """Tell what a rule is told of completions; every rank must call it.

    Args:
        rows: Tokens of the prompt, and the completion.
        policy: Measures.
        with_confidence: Whether confidences are measured too.
        images: Of each row's prompt.
    """
    pad_token_id = policy.tokenizer.pad_token_id
    assert isinstance(pad_token_id, int)
    with policy.costs.time("branching_seconds"):
        measured = measure_tokens(
            policy.model,
            policy.accelerator,
            [(prompt_ids, sample.completion_ids) for prompt_ids, sample in rows],
            pad_token_id,
            policy.config.per_device_train_batch_size,
            with_confidence,
            images,
            policy.images and policy.images.inputs,
        )
    return [
        TokenRow(
            entropies=statistics[1],
            confidences=statistics[3] if with_confidence else (),
            is_over=not sample.truncated,
        )
        for statistics, (_, sample) in zip(measured, rows, strict=True)
    ]
