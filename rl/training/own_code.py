"""Code of one's own, tried once on made-up completions before a model is loaded.

Only what a recipe names by a file or a module is tried: what is built in has tests. What asks the
policy is asked for its questions alone; a token selector that remembers and a curriculum that asks
the policy are not tried, nor is anything of self-play.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset

from rl.answers import extract_answer
from rl.answers.plugins import is_plugin
from rl.data.views import num_views
from rl.errors import InputError
from rl.groups.memory import state_of
from rl.groups.scoring import ScoredGroup, score_group
from rl.plugins import call_plugin, names_code
from rl.questions import checked_questions
from rl.rollouts.branching.contract import TokenRow
from rl.rollouts.branching.registry import build_branching
from rl.rollouts.branching.tree import plan_forks
from rl.training.config import LabelFreeConfig
from rl.training.curriculum.registry import Curricula, build_curricula
from rl.training.curriculum.stream import prompt_facts
from rl.training.gradient_masks.masking import build_gradient_mask, choose_rows
from rl.training.losses.term import TermTokens
from rl.training.losses.terms import build_loss_terms, loss_of_tokens, weigh_tokens
from rl.training.token_selection import TokenSelector
from rl.training.token_terms import select_tokens
from rl.types import Group, Reward, Rollout, TokenStatistics

_LENGTH = 64  # most tokens of a made-up completion, and rows of a made-up layer

logger = logging.getLogger(__name__)


def try_own_code(
    config: LabelFreeConfig,
    rewards: Mapping[str, Reward],
    token_selector: TokenSelector | None,
    prompts: Dataset,
) -> None:
    """Try what the settings name by a file or a module.

    Args:
        config: Settings of the run.
        rewards: Name -> reward.
        token_selector: The run's.
        prompts: Columns `prompt_id`, `rendered_prompt` and `row`, one row or more; with images
            `image_digests` too.

    Raises:
        InputError: If it raises, or returns what the run would refuse.
    """
    if names_code([config.rewards, config.curriculum]):
        _try_rewards(config, rewards, prompts)
    elif _reads_answers(config):
        made_up_group(config, "", "", views=1, measured=False)
    if names_code(config.loss_terms):
        _try_loss_terms(config)
    if names_code(config.gradient_mask):
        choose_rows(build_gradient_mask(config.gradient_mask), torch.arange(1.0, 1 + _LENGTH), 0)
    if token_selector is not None and names_code(config.token_selector):
        _try_token_selector(token_selector)
    if names_code(config.branching):
        rule: Any = build_branching(config.branching, config.vote_budget.max)
        roots = [_token_row(rule)] * rule.num_roots
        plan_forks(rule, roots, config.vote_budget.max - rule.num_roots)


def made_up_group(
    config: LabelFreeConfig,
    prompt_id: str,
    prompt: str,
    views: int,
    measured: bool,
    images: Sequence[str] = (),
) -> Group:
    """Make up a group as the run would have it: half of its rollouts agree, some have no answer.

    Args:
        config: Settings of the run; a method of one's own reads the answers.
        prompt_id: Of one of its prompts.
        prompt: That prompt, rendered.
        views: Wordings of each problem, this one among them.
        measured: Whether rollouts have token statistics.
        images: Digests of the prompt's images.
    """
    first, second, *_ = config.answer_choices or "23"
    given = [(first, first, second, None)[i % 4] for i in range(config.vote_budget.max)]
    texts = [f"So the answer is \\boxed{{{a}}}." if a else "I do not know." for a in given]
    answers = given
    if _reads_answers(config):
        methods, choices = config.answer_methods, config.answer_choices
        answers = [extract_answer(text, methods=methods, choices=choices) for text in texts]
    classes = list(dict.fromkeys(answer for answer in answers if answer is not None))
    longest = min(_LENGTH, config.max_completion_length)
    lengths = [longest - i % (longest // 2 + 1) for i in range(len(texts))]
    rollouts = tuple(
        Rollout(
            completion=text,
            answer=answer,
            cluster=None if answer is None else classes.index(answer),
            num_tokens=length,
            token_statistics=_statistics(i, length, answer is not None) if measured else None,
        )
        for i, (text, answer, length) in enumerate(zip(texts, answers, lengths, strict=True))
    )
    group = Group(
        prompt_id=prompt_id,
        prompt=prompt,
        images=tuple(images),
        visit="made up",  # no run has it
        rollouts=rollouts,
    )
    if config.teacher is not None:
        group = replace(group, teacher=group)
    return replace(group, views=[replace(group, view=view) for view in range(1, views)])


def _reads_answers(config: LabelFreeConfig) -> bool:
    """Whether answers are looked for by a method of one's own."""
    return any(map(is_plugin, config.answer_methods))


def _statistics(number: int, length: int, has_answer: bool) -> TokenStatistics:
    """Make up statistics that differ from token to token and from rollout to rollout."""
    unsure = [0.1 + (7 * t + 3 * number) % 11 / 10 for t in range(length)]
    return TokenStatistics(
        logps=tuple(-u for u in unsure),
        entropies=tuple(1.5 * u for u in unsure),
        self_certainties=tuple(3.0 - u for u in unsure),
        in_answer=(*[False] * (length - 1), has_answer),
        pieces=("so ",) * length,
    )


def _try_rewards(config: LabelFreeConfig, rewards: Mapping[str, Reward], prompts: Dataset) -> None:
    """Let all rewards score one group, and ask the curriculum about it."""
    everything: dict[str, Any] = dict(rewards)
    measured = any(getattr(r, "needs_token_statistics", False) for r in everything.values())
    curricula, row = _try_order(config, prompts)
    has_images = "image_digests" in prompts.column_names
    group = made_up_group(
        config,
        prompts["prompt_id"][row],
        prompts["rendered_prompt"][row],
        num_views(prompts),
        measured,
        prompts["image_digests"][row] if has_images else (),
    )
    scoring = {name: r for name, r in everything.items() if not hasattr(r, "questions")}
    for name in everything.keys() - scoring.keys():
        what = f"reward {name!r}, asking"
        asking = replace(group, problem_text=group.prompt)
        checked_questions(what, call_plugin(what, everything[name].questions, asking))
    scored: ScoredGroup = score_group(
        group, row, scoring, dict.fromkeys(scoring, 1.0), config.max_reward_seconds
    )
    for name, reward in everything.items():
        if hasattr(reward, "state_dict"):
            state_of(name, reward)
    for name, number in scored.num_not_finite.items():
        logger.warning(
            "reward %r: %d values of a made-up group are no finite numbers, which count as None",
            name,
            number,
        )
    if len(scoring) == len(everything):  # else a run's groups have more
        curricula.teaches(scored)


def _try_order(config: LabelFreeConfig, prompts: Dataset) -> tuple[Curricula, int]:
    """Let the curriculum order the prompts; return its rules, and the row that comes first.

    Rules that ask the policy are left out; so are all where none is one's own.
    """
    rules = build_curricula(config.curriculum if names_code(config.curriculum) else {}).rules
    curricula = Curricula({n: rule for n, rule in rules.items() if not hasattr(rule, "prepare")})
    rows = curricula.order(range(len(prompts)), prompt_facts(prompts)) if curricula else []
    return curricula, next(iter(rows), 0)


def _try_loss_terms(config: LabelFreeConfig) -> None:
    mask = torch.ones(2, _LENGTH, dtype=torch.long)
    mask[1, _LENGTH // 2 :] = 0
    logps, entropies = (torch.full((2, _LENGTH), x, requires_grad=True) for x in (-0.5, 0.5))
    tokens = TermTokens(logps=logps, entropies=entropies, old_logps=logps.detach(), mask=mask)
    for name, term in build_loss_terms(config.loss_terms).terms.items():
        weigh_tokens(name, term, mask, torch.tensor([1.0, -1.0]))
        if hasattr(term, "compare"):  # what is compared comes of a teacher
            continue
        if not loss_of_tokens(name, term, tokens).requires_grad:
            raise InputError(
                f"loss_terms.{name}, per_token: got a tensor without gradient, which teaches "
                "nothing, expected one computed from tokens.logps or tokens.entropies. Take out "
                "what detaches it."
            )


def _try_token_selector(selector: Any) -> None:
    if hasattr(selector, "state_dict"):
        return
    entropies = torch.linspace(0.1, 2.0, _LENGTH).repeat(4, 1)
    mask = torch.arange(_LENGTH) < torch.tensor([_LENGTH, _LENGTH // 2, 8, 1])[:, None]
    logps = [-entropies * mask] * getattr(selector, "needs_logps", False)
    select_tokens(selector, entropies * mask, mask, torch.tensor([0, 0, 1, 1]), *logps)


def _token_row(rule: Any) -> TokenRow:
    entropies = [0.1, 0.9] * (_LENGTH // 2)
    confidences = [2.0, 4.0] * (_LENGTH // 2) if getattr(rule, "needs_confidences", False) else []
    return TokenRow(entropies=entropies, confidences=confidences, is_over=True)
