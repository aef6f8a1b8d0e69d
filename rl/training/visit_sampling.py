"""The visits of a batch: which prompt, its tokens, its sampled votes, the group they make."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from accelerate.utils import gather_object

from rl.data.image_inputs import read_prompt
from rl.groups.advantages import reads_entropies
from rl.groups.mean_entropies import add_mean_entropies, take_mean_entropies
from rl.groups.scoring import ScoredGroup, classify_samples, make_group
from rl.groups.token_statistics import add_statistics
from rl.groups.visits import VisitKey, choose_trained
from rl.rollouts.adaptive_votes import sample_votes
from rl.rollouts.ahead_engine import Request
from rl.rollouts.branching.registry import build_branching
from rl.rollouts.engine import Sample, derive_seed
from rl.training.branched_sampling import sample_branches
from rl.training.run_images import image_row
from rl.training.source import Policy, Row
from rl.types import Group
from rl.watchdog import sampling_deadline


class Prompt(NamedTuple):
    """What is sampled at a visit: the tokens of the prompt, and its row of the training set."""

    ids: list[int]
    example: Mapping[str, Any]


def visit_key(example: Mapping[str, Any], index: int) -> VisitKey:
    """Name the visit of a batch to a prompt: `3-17`, and `3-17.1` for another wording of it."""
    view = f".{example['view']}" if example.get("view") else ""
    return VisitKey(example["prompt_id"], f"{example.get('batch', index)}-{example['row']}{view}")


def tokenize_prompts(
    examples: Mapping[VisitKey, Mapping[str, Any]], policy: Policy
) -> dict[VisitKey, Prompt]:
    """Turn the prompt of each visit into the tokens the policy continues."""
    return {key: Prompt(prompt_tokens(e, policy), e) for key, e in examples.items()}


def prompt_tokens(example: Mapping[str, Any], policy: Policy) -> list[int]:
    """Turn one prompt into tokens, each image into as many as it has."""
    arguments: Any = policy.config.chat_template_kwargs
    images, inputs = policy.images_of(example), policy.images and policy.images.inputs
    return read_prompt(example["prompt"], images, policy.tokenizer, inputs, arguments)


def row_of(prompt: Prompt, sample: Sample, completion: str, scored: ScoredGroup) -> Row:
    """Turn a trained sample of a visit into a row, with what its group takes for right."""
    return Row(
        prompt_ids=prompt.ids,
        sample=sample,
        prompt=prompt.example["prompt"],
        completion=completion,
        pseudo_label=None if scored.vote is None else scored.vote.pseudo_label,
        image_row=image_row(prompt.example),
    )


def request_of(
    keys: Sequence[VisitKey], prompts: Mapping[VisitKey, Prompt], policy: Policy
) -> Request:
    """Say what the engine is asked for, now or ahead, for some visits."""
    return Request(
        prompt_ids=[prompts[key].ids for key in keys],
        num_samples=policy.config.vote_budget.max,
        seeds=[derive_seed(policy.config.seed, *key) for key in keys],
        images=[policy.images_of(prompts[key].example) for key in keys],
    )


def sample_visits(
    keys: Sequence[VisitKey], prompts: Mapping[VisitKey, Prompt], policy: Policy
) -> list[list[Sample]]:
    """Sample the votes of some visits; every rank must call it."""
    config, request = policy.config, request_of(keys, prompts, policy)
    limit = sampling_deadline(config.max_sampling_seconds)
    branching = build_branching(config.branching, config.vote_budget.max)
    with policy.costs.time("sample_seconds"), limit:
        if branching is not None:
            return sample_branches(request, branching, policy)
        return sample_votes(
            policy.engine,
            request.prompt_ids,
            request.seeds,
            config.vote_budget,
            partial(
                classify_samples,
                tokenizer=policy.tokenizer,
                answer_methods=config.answer_methods,
                choices=config.answer_choices,
                stop_strings=config.stop_strings,
            ),
            lambda is_over: all(gather_object([is_over])),
            request.images,
        )


def with_entropies(
    groups: Sequence[Group],
    prompts: Sequence[Prompt],
    votes: Sequence[list[Sample]],
    policy: Policy,
) -> list[Group]:
    """Fill in how unsure the policy was of each trained rollout; every rank must call it."""
    pad_token_id = policy.tokenizer.pad_token_id
    assert isinstance(pad_token_id, int)
    with policy.costs.time("token_statistics_seconds"):
        return add_mean_entropies(
            groups,
            [(prompt.ids, samples) for prompt, samples in zip(prompts, votes, strict=True)],
            model=policy.model,
            accelerator=policy.accelerator,
            pad_token_id=pad_token_id,
            batch_size=policy.config.per_device_train_batch_size,
            images=[policy.images_of(prompt.example) for prompt in prompts],
            image_inputs=policy.images and policy.images.inputs,
        )


def with_statistics(
    groups: Sequence[Group],
    prompts: Sequence[Prompt],
    votes: Sequence[list[Sample]],
    policy: Policy,
) -> tuple[list[Group], list[Group]]:
    """Measure every token once, for rewards and for an advantage; every rank must call it.

    Args:
        groups: Groups of this rank, answers looked for.
        prompts: Of each group.
        votes: Of each group.
        policy: Measures them.

    Returns:
        The groups, with mean entropies where the advantage reads them, and the same with the
        statistics of their tokens, which are too much for all ranks.
    """
    with policy.costs.time("token_statistics_seconds"):
        seen = add_statistics(
            groups,
            [(prompt.ids, samples) for prompt, samples in zip(prompts, votes, strict=True)],
            model=policy.model,
            accelerator=policy.accelerator,
            tokenizer=policy.tokenizer,
            batch_size=policy.config.per_device_train_batch_size,
            images=[policy.images_of(prompt.example) for prompt in prompts],
            image_inputs=policy.images and policy.images.inputs,
        )
    if not reads_entropies(policy.config.advantage):
        return list(groups), seen
    return take_mean_entropies(groups, seen), take_mean_entropies(seen, seen)


def sampled_group(
    key: VisitKey, example: Mapping[str, Any], votes: Sequence[Sample], policy: Policy
) -> Group:
    """Turn the votes of a visit into a group, and choose which of them are trained."""
    config = policy.config
    trained = choose_trained(
        len(votes),
        config.num_generations,
        config.trained_subset,
        derive_seed(config.seed, "trained", *key),
    )
    return make_group(
        key,
        example["rendered_prompt"],
        votes,
        trained,
        policy.tokenizer,
        example.get("version", policy.version),
        policy.config.stop_strings,
        example.get("view", 0),
        example.get("image_digests", ()),
    )
