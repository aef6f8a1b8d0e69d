"""Asks the policy what rewards want to know of their groups: all of a batch in a few calls.

A round: each rank collects the new questions of its groups' rewards, all ranks learn of all, and
self-play's sampler shares them out, one call of the engine (two, where the ranks do not divide
them) for all questions of as many samples and as long replies. Rounds go on until no reward asks
anything new. The engine holds the newest weights, also where completions are older.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeAlias

from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from rl.data.chat_parts import NO_IMAGES, text_of, with_images_in_front
from rl.data.prompts import tokenize_prompt
from rl.errors import InputError
from rl.groups.visits import VisitKey
from rl.plugins import call_plugin
from rl.questions import MAX_ROUNDS, Answered, Asked, Prompt, Question, checked_questions
from rl.rollouts.engine import with_settings
from rl.selfplay.game import Request, as_prompt
from rl.selfplay.sampler import PolicySampler
from rl.training.prepare import model_context
from rl.training.source import Policy
from rl.types import Group
from rl.watchdog import deadline

# Visit -> reward that asks -> what it asked of that visit's group.
AskedOfVisits: TypeAlias = dict[VisitKey, dict[str, tuple[Asked, ...]]]


@dataclass(frozen=True, kw_only=True)
class Put:
    """A question as it is put to the policy.

    Attributes:
        visit: Whose group it is about.
        reward: Name of the reward that asks.
        key: The question's.
        prompt: The question's, as the policy gets it.
        num_samples: Replies wanted.
        max_tokens: Most tokens of a reply.
        image_row: Row of the training set whose images the question shows; -1: none.
        fits: Whether the context has room for the prompt and such a reply.
    """

    visit: VisitKey
    reward: str
    key: str
    prompt: Prompt
    num_samples: int
    max_tokens: int
    image_row: int
    fits: bool


def ask_policy(
    rewards: Mapping[str, Any],
    groups: Sequence[Group],
    prompts: Sequence[Prompt],
    policy: Policy,
    index: int,
    image_rows: Sequence[int] = (),
) -> AskedOfVisits:
    """Let the rewards that ask put their questions; every rank must call it.

    The policy sees the images of a prompt, in front of a question about it: of its first user
    message, or where it has none of its last message.

    A reply depends on the run's seed, the number of the batch, the visit, the reward, the key of
    the question and the number of the reply, on no rank layout.

    Args:
        rewards: Name -> reward; those that have `questions` ask (rl/types.py).
        groups: Those that this rank scores, answered.
        prompts: Their prompts, as the training set has them.
        policy: Is asked.
        index: Number of the batch.
        image_rows: For each group the row of the training set whose images it has, or -1.

    Returns:
        What was asked about the groups of all ranks, on every rank.

    Raises:
        InputError: If a reward asks what is no question, or goes on asking.
    """
    asking = {name: reward for name, reward in rewards.items() if hasattr(reward, "questions")}
    asked: AskedOfVisits = {}
    image_rows = image_rows or [NO_IMAGES] * len(groups)
    for number in range(MAX_ROUNDS + 1):
        if not asking:
            break
        with policy.costs.time("score_seconds"):
            new = [
                put
                for group, prompt, row in zip(groups, prompts, image_rows, strict=True)
                for reward, seen in as_seen(group, prompt, asked, asking).items()
                for question in _new_questions(reward, asking[reward].questions, seen, policy)
                for put in [_put(question, reward, seen, isinstance(prompt, list), policy, row)]
            ]
        of_all: list[Put] = gather_object(new)
        if not of_all:
            break
        if number == MAX_ROUNDS:
            raise InputError(
                f"reward {of_all[0].reward!r}: got new questions after {MAX_ROUNDS} rounds, "
                "expected an end. Let `questions` return keys that it asked before, or nothing."
            )
        replies = _sample([put for put in of_all if put.fits], policy, index)
        for put in of_all:
            of_visit = asked.setdefault(put.visit, dict.fromkeys(asking, ()))
            found = Asked(key=put.key, prompt=put.prompt, replies=tuple(replies.get(name(put), ())))
            of_visit[put.reward] = (*of_visit[put.reward], found)
    return asked


def as_seen(
    group: Group, prompt: Prompt, asked: AskedOfVisits, rewards: Mapping[str, Any]
) -> dict[str, Group]:
    """Return a group as each reward that asks sees it: with what that reward asked about it."""
    problem, of_visit = problem_of(prompt), asked.get(_visit(group), {})
    return {
        reward: replace(group, problem_text=problem, asked=of_visit.get(reward, ()))
        for reward, function in rewards.items()
        if hasattr(function, "questions")
    }


def problem_of(prompt: Prompt) -> str:
    """Return the text that asks: a chat's last user message, or all of a prompt of text.

    Example:
        >>> problem_of([{"role": "system", "content": "Sum."}, {"role": "user", "content": "1+1"}])
        '1+1'
    """
    if isinstance(prompt, str):
        return prompt
    return next((text_of(m["content"]) for m in reversed(prompt) if m["role"] == "user"), "")


def asking_metrics(asked: AskedOfVisits) -> dict[str, float]:
    """Count what the rewards asked.

    Returns:
        reward/<name>/num_questions: in all groups of the batch.
        reward/<name>/left_out_questions: those of them that left no room for a reply.
    """
    metrics: dict[str, float] = {}
    for reward, questions in _by_reward(asked).items():
        metrics[f"reward/{reward}/num_questions"] = len(questions)
        metrics[f"reward/{reward}/left_out_questions"] = sum(not q.replies for q in questions)
    return metrics


def asking_alarms(asked: AskedOfVisits) -> list[str]:
    """Name the rewards none of whose questions fitted, so that they hang in the air."""
    return [
        f"reward {reward!r}: none of {len(questions)} questions left room for a reply in the "
        "context, so none was asked; raise vllm_max_model_length, or shorten prompt and reply"
        for reward, questions in _by_reward(asked).items()
        if questions and not any(question.replies for question in questions)
    ]


def without_special_tokens(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Put a space where a special token is spelled out: model text must not end the turn it is in.

    Spaces keep what stands before and after from joining to another one.
    """
    names = sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), " ", text) if names else text


def name(put: Put) -> str:
    """Name a question among all of a batch; its seed is made of it."""
    return "\x1f".join((put.reward, *put.visit, put.key))


def _visit(group: Group) -> VisitKey:
    return VisitKey(group.prompt_id, group.visit)


def _by_reward(asked: AskedOfVisits) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for of_visit in asked.values():
        for reward, questions in of_visit.items():
            found.setdefault(reward, []).extend(questions)
    return found


def _new_questions(
    reward: str, ask: Callable[[Group], Any], group: Group, policy: Policy
) -> list[Question]:
    """Ask a reward what it wants to know; leave out what it was told already."""
    with deadline(f"reward {reward!r}", policy.config.max_reward_seconds, "max_reward_seconds"):
        what = f"reward {reward!r}, asking"
        given = checked_questions(what, call_plugin(what, ask, group))
    return [question for question in given if group.replies(question.key) is None]


def _put(
    question: Question, reward: str, group: Group, is_chat: bool, policy: Policy, image_row: int
) -> Put:
    config, arguments = policy.config, _template_arguments(policy)
    prompt = question.prompt
    if isinstance(prompt, str):
        prompt = as_prompt(without_special_tokens(prompt, policy.tokenizer), chat=is_chat)
    else:
        prompt = [
            {**m, "content": without_special_tokens(m["content"], policy.tokenizer)} for m in prompt
        ]
    max_tokens = question.max_tokens or config.max_completion_length
    context = model_context(config, policy.model.config)
    if policy.images is None:
        num_tokens = len(tokenize_prompt(prompt, policy.tokenizer, arguments))
    else:
        if group.images:
            assert isinstance(prompt, list), "prompts with images are chats"
            prompt = with_images_in_front(prompt, len(group.images))
        num_tokens = len(policy.images.prompt_ids(prompt, image_row, arguments))
    return Put(
        visit=_visit(group),
        reward=reward,
        key=question.key,
        prompt=prompt,
        num_samples=question.num_samples,
        max_tokens=max_tokens,
        image_row=image_row,
        fits=context is None or num_tokens + max_tokens <= context,
    )


def _sample(questions: Sequence[Put], policy: Policy, index: int) -> dict[str, list[Answered]]:
    """Return the replies to each question, by its name; the same on every rank."""
    found: dict[str, list[Answered]] = {}
    by_length = sorted(questions, key=lambda put: put.max_tokens)
    for max_tokens, same in groupby(by_length, key=lambda put: put.max_tokens):
        settings = replace(policy.engine.settings, max_completion_length=max_tokens)
        sampler = PolicySampler(
            with_settings(policy.engine, settings),
            policy.tokenizer,
            policy.accelerator,
            policy.costs,
            policy.config.seed,
            index,
            max_seconds=policy.config.max_sampling_seconds,
            template_arguments=_template_arguments(policy),
            images=policy.images,
        )
        requests = [
            Request(
                key=name(put),
                role=put.reward,
                prompt=put.prompt,
                num_samples=put.num_samples,
                image_row=put.image_row,
            )
            for put in same
        ]
        found |= zip([r.key for r in requests], sampler(requests), strict=True)
    replies = [reply for of_one in found.values() for reply in of_one]
    policy.costs.add("num_asked_completions", len(replies))
    policy.costs.add("num_asked_tokens", sum(reply.num_tokens for reply in replies))
    return found


def _template_arguments(policy: Policy) -> Any:
    return policy.config.chat_template_kwargs
