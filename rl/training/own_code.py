"""Code of one's own, tried once on made-up completions before a model is loaded.

Only what a recipe names by a file or a module is tried: what is built in has tests. What asks the
policy is asked for its questions alone, and a token selector that remembers is not tried.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import torch
from datasets import Dataset

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
from rl.training.curriculum.registry import build_curricula
from rl.training.gradient_masks.masking import build_gradient_mask, choose_rows
from rl.training.losses.term import TermTokens
from rl.training.losses.terms import build_loss_terms, loss_of_tokens, weigh_tokens
from rl.training.token_selection import TokenSelector
from rl.training.token_terms import select_tokens
from rl.types import Group, Reward, Rollout, TokenStatistics

_LENGTH = 64  # tokens of a made-up completion, and rows of a made-up layer


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
        prompts: Columns `prompt_id` and `rendered_prompt`, one row or more.

    Raises:
        InputError: If it raises, or returns what the run would refuse.
    """
    if names_code([config.rewards, config.curriculum]):
        _try_rewards(config, rewards, prompts)
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
    config: LabelFreeConfig, prompt_id: str, prompt: str, views: int, measured: bool
) -> Group:
    """Make up a group as the run would have it: half of its rollouts agree, some have no answer.

    Args:
        config: Settings of the run.
        prompt_id: Of one of its prompts.
        prompt: That prompt, rendered.
        views: Wordings of each problem, this one among them.
        measured: Whether rollouts have token statistics.
    """
    first, second, *_ = config.answer_choices or "23"
    answers = islice(cycle([first, first, second, None]), config.vote_budget.max)
    statistics = TokenStatistics(
        logps=(-0.5,) * _LENGTH,
        entropies=(0.5,) * _LENGTH,
        self_certainties=(2.0,) * _LENGTH,
        in_answer=(*[False] * (_LENGTH - 1), True),
        pieces=("so ",) * _LENGTH,
    )
    rollouts = tuple(
        Rollout(
            completion=f"So the answer is \\boxed{{{answer}}}." if answer else "I do not know.",
            answer=answer,
            cluster=None if answer is None else [first, second].index(answer),
            num_tokens=_LENGTH,
            token_statistics=statistics if measured else None,
        )
        for answer in answers
    )
    group = Group(prompt_id=prompt_id, prompt=prompt, visit="0-0", rollouts=rollouts)
    if config.teacher is not None:
        group = replace(group, teacher=group)
    return replace(group, views=[replace(group, view=view) for view in range(1, views)])


def _try_rewards(config: LabelFreeConfig, rewards: Mapping[str, Reward], prompts: Dataset) -> None:
    """Let all rewards score one group, and ask the curriculum about it."""
    everything: dict[str, Any] = dict(rewards)
    measured = any(getattr(r, "needs_token_statistics", False) for r in everything.values())
    group = made_up_group(
        config,
        prompts["prompt_id"][0],
        prompts["rendered_prompt"][0],
        num_views(prompts),
        measured,
    )
    scoring = {name: r for name, r in everything.items() if not hasattr(r, "questions")}
    for name in everything.keys() - scoring.keys():
        what = f"reward {name!r}, asking"
        asking = replace(group, problem_text=group.prompt)
        checked_questions(what, call_plugin(what, everything[name].questions, asking))
    scored: ScoredGroup = score_group(
        group, 0, scoring, dict.fromkeys(scoring, 1.0), config.max_reward_seconds
    )
    for name, reward in everything.items():
        if hasattr(reward, "state_dict"):
            state_of(name, reward)
        elif hasattr(reward, "observe"):
            raise InputError(
                f"reward {name!r}: got observe without state_dict, expected both: a resumed run "
                "would have forgotten what it saw. Add state_dict and load_state_dict."
            )
    for name in scored.num_not_finite:
        raise InputError(
            f"reward {name!r}: got a value that is no finite number for a made-up group, expected "
            "finite numbers, or None where it cannot score. Try it with scripts/check_reward.py."
        )
    if names_code(config.curriculum):
        build_curricula(config.curriculum).teaches(scored)


def _try_loss_terms(config: LabelFreeConfig) -> None:
    mask = torch.ones(2, _LENGTH)
    mask[1, _LENGTH // 2 :] = 0
    logps, entropies = (torch.full((2, _LENGTH), x, requires_grad=True) for x in (-0.5, 0.5))
    tokens = TermTokens(logps=logps, entropies=entropies, old_logps=logps.detach(), mask=mask)
    for name, term in build_loss_terms(config.loss_terms).terms.items():
        weigh_tokens(name, term, mask, torch.tensor([1.0, -1.0]))
        if not hasattr(term, "compare"):  # what is compared comes of a teacher
            loss_of_tokens(name, term, tokens)


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
