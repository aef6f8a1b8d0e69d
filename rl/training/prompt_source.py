"""Batches of prompts and label-free rewards that see whole groups."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate.utils import gather_object
from torch import Tensor

from rl.answers import verification_counters
from rl.answers.views import link_views
from rl.groups.advantages import get_advantage, reads_entropies
from rl.groups.branch_metrics import branch_metrics
from rl.groups.leaders import LeaderMemory
from rl.groups.memory import show_groups
from rl.groups.metrics import audit_metrics, group_metrics
from rl.groups.scoring import (
    ScoredGroup,
    answer_groups,
    rewards_of_rows,
    score_group,
    trained_votes,
)
from rl.groups.visits import VisitKey, find_visits, neighbours
from rl.rollouts.adaptive_votes import count_saved
from rl.rollouts.ahead_engine import Request
from rl.rollouts.engine import Sample
from rl.training.asking import AskedOfVisits, as_seen, ask_policy, asking_alarms, asking_metrics
from rl.training.files import rollout_lines
from rl.training.handover import hand_over
from rl.training.run_images import image_row
from rl.training.source import Batch, Policy
from rl.training.visit_sampling import (
    Prompt,
    request_of,
    row_of,
    sample_visits,
    sampled_group,
    tokenize_prompts,
    visit_key,
    with_entropies,
    with_statistics,
)
from rl.types import Group, Reward

if TYPE_CHECKING:
    from rl.training.teacher import Teacher

Value = TypeVar("Value")


class PromptSource:
    """Samples prompts, scores their groups, and hands each rank the rows it asked for.

    The rows of one prompt may lie on several ranks. So its group is made by one rank, which samples
    all votes and scores them once; the trained rollouts then go to the ranks of their rows, and
    what was scored to all ranks. The groups of a problem's wordings are made by one rank.

    Args:
        rewards: Reward name -> callable that scores a whole group.
        reward_weights: Reward name -> weight in the summed reward, 1 where not named.
        labels: Row of the training set -> label; read by audit/ metrics only.
        num_views: Wordings of each problem, which come in turn.
        teacher: Answers the prompts too, for rewards to see.
    """

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        reward_weights: Mapping[str, float] | None = None,
        labels: Mapping[int, str] | None = None,
        num_views: int = 1,
        teacher: "Teacher | None" = None,
    ) -> None:
        self.rewards = dict(rewards)
        self.num_views = num_views
        self.teacher = teacher
        self.weights = {name: (reward_weights or {}).get(name, 1.0) for name in rewards}
        self.labels = labels
        self.reward_names = list(rewards)
        self.leaders = LeaderMemory()
        self.signals: dict[str, Any] = {**rewards, "leading answers": self.leaders}
        self.needs_token_statistics = any(
            getattr(reward, "needs_token_statistics", False) for reward in rewards.values()
        )

    def request(self, examples: Sequence[Mapping[str, Any]], policy: Policy, index: int) -> Request:
        """Say what the engine will be asked for.

        Args:
            examples: Different prompts of a batch.
            policy: Tells tokenizer and settings.
            index: Number of the batch.
        """
        prompts = tokenize_prompts({visit_key(e, index): e for e in examples}, policy)
        return request_of(list(prompts), prompts, policy)

    def next_batch(self, inputs: Sequence[Mapping[str, Any]], policy: Policy, index: int) -> Batch:
        """Make a batch; `inputs` have `prompt`, `row`, `prompt_id` and `rendered_prompt`.

        Those asked for ahead have `batch` and `version` (`rl.training.prompts_ahead`) as well.
        """
        rank, num_ranks = policy.accelerator.process_index, policy.accelerator.num_processes

        # Group: the rows of one visit to a prompt, wherever they lie. Each rank takes some visits.
        keys = [visit_key(example, index) for example in inputs]
        row_keys = gather_object(keys)
        visits = find_visits(row_keys, policy.config.num_generations)
        prompts = gather_mappings(tokenize_prompts(dict(zip(keys, inputs, strict=True)), policy))
        mine = neighbours(list(visits), rank, num_ranks, self.num_views)

        # Sample: all votes, of which some are trained.
        votes, of_mine = sample_visits(mine, prompts, policy), [prompts[key] for key in mine]
        groups = [
            sampled_group(key, prompt.example, samples, policy)
            for key, prompt, samples in zip(mine, of_mine, votes, strict=True)
        ]
        if reads_entropies(policy.config.advantage) and not self.needs_token_statistics:
            groups = with_entropies(groups, of_mine, votes, policy)
        taught = self.teacher.answer(mine, prompts, policy, index) if self.teacher else []

        # Answer, ask and score: each group on the rank that sampled it; then all ranks know all.
        scored, asked = self._answer_ask_score(groups, of_mine, votes, taught, policy, index)
        count_costs(scored, policy)
        by_key = {group.key: group for group in scored}
        in_order = link_views([by_key[key].group for key in visits], self.num_views)
        show_groups(self.rewards, in_order)
        flips = self.leaders.visit(in_order, policy.version)

        # Advantage.
        rewards, rewards_by_name = rewards_of_rows(by_key, visits)
        advantages = advantages_of_rows(rewards, by_key, visits, policy.config.advantage)

        # Rows: of the trained rollouts of all ranks those whose rows are here.
        size = len(inputs)
        wanted = [range(start, start + size) for start in range(0, len(row_keys), size)]
        trained = hand_over(trained_samples(groups, votes, visits), wanted, policy.accelerator)
        rows = [
            row_of(prompts[key], *of, by_key[key])
            for key, of in zip(keys, trained.values(), strict=True)
        ]
        by_visit = {key: advantages[torch.tensor(at)].tolist() for key, at in visits.items()}
        return Batch(
            rows=rows,
            rewards_by_name=rewards_by_name,
            rewards=rewards,
            advantages=advantages,
            groups=group_numbers(visits),
            metrics={**self._metrics(scored, policy), **asking_metrics(asked), **flips},
            rollout_lines=rollout_lines(scored, by_visit, asked),
            policy_version=policy.version,
            alarms=[*not_finite_alarms(scored), *asking_alarms(asked)],
            sampled=[by_key[key] for key in visits],
        )

    def _answer_ask_score(
        self,
        groups: Sequence[Group],
        prompts: Sequence[Prompt],
        votes: Sequence[list[Sample]],
        taught: Sequence[Group],
        policy: Policy,
        index: int,
    ) -> tuple[list[ScoredGroup], AskedOfVisits]:
        with policy.costs.time("score_seconds"):
            groups = answer(groups, prompts, policy, self.num_views, taught)
        seen = groups
        if self.needs_token_statistics:
            groups, seen = with_statistics(groups, prompts, votes, policy)
        texts = [prompt.example["prompt"] for prompt in prompts]
        linked = link_views(groups, self.num_views)
        image_rows = [image_row(prompt.example) for prompt in prompts]
        asked = ask_policy(self.rewards, linked, texts, policy, index, image_rows)
        with policy.costs.time("score_seconds"):
            scored = gather_object(self._score(groups, seen, prompts, asked, policy))
        return scored, asked

    def _score(
        self,
        groups: Sequence[Group],
        seen_by_rewards: Sequence[Group],
        prompts: Sequence[Prompt],
        asked: AskedOfVisits,
        policy: Policy,
    ) -> list[ScoredGroup]:
        seen_by_rewards = link_views(seen_by_rewards, self.num_views)
        return [
            # Statistics of every token, views and texts of a teacher are too much for all ranks.
            replace(
                score_group(
                    seen,
                    p.example["row"],
                    self.rewards,
                    self.weights,
                    policy.config.max_reward_seconds,
                    as_seen(seen, p.example["prompt"], asked, self.rewards),
                ),
                group=without_teacher_texts(group),
            )
            for group, seen, p in zip(groups, seen_by_rewards, prompts, strict=True)
        ]

    def _metrics(self, scored: Sequence[ScoredGroup], policy: Policy) -> dict[str, float]:
        with policy.costs.time("log_seconds"):
            metrics = group_metrics(scored)
            if policy.config.branching is not None:
                metrics |= branch_metrics([one.group for one in scored])
            if self.labels is not None:
                metrics |= audit_metrics(scored, self.labels)
        return metrics


def gather_mappings(mapping: Mapping[VisitKey, Value]) -> dict[VisitKey, Value]:
    """Join the mappings of all ranks."""
    return {key: value for part in gather_object([mapping]) for key, value in part.items()}


def answer(
    groups: Sequence[Group],
    prompts: Sequence[Prompt],
    policy: Policy,
    num_views: int,
    teachers: Sequence[Group],
) -> list[Group]:
    """Look for answers and compare them, and count the comparisons that failed."""
    letters = [prompt.example.get("letters", "") for prompt in prompts]
    config, num_failed = policy.config, verification_counters().num_failed
    found = answer_groups(
        groups, config.answer_methods, config.answer_choices, num_views, letters, teachers
    )
    verification_counters().check()
    policy.costs.add("num_failed_comparisons", verification_counters().num_failed - num_failed)
    return found


def without_teacher_texts(group: Group) -> Group:
    """Leave of a teacher's completions what they answer and how long they are."""
    if group.teacher is None:
        return group
    rollouts = tuple(replace(rollout, completion="") for rollout in group.teacher.rollouts)
    return replace(group, teacher=replace(group.teacher, rollouts=rollouts))


def trained_samples(
    groups: Sequence[Group],
    votes: Sequence[Sequence[Sample]],
    visits: Mapping[VisitKey, Sequence[int]],
) -> dict[int, tuple[Sample, str]]:
    """Return the trained samples of some visits with their text, by the position of their row."""
    found = {}
    for group, samples in zip(groups, votes, strict=True):
        pairs = zip(samples, group.rollouts, strict=True)
        trained = [(sample, rollout.completion) for sample, rollout in pairs if rollout.trained]
        found |= zip(visits[VisitKey(group.prompt_id, group.visit)], trained, strict=True)
    return found


def advantages_of_rows(
    rewards: Tensor,
    scored: Mapping[VisitKey, ScoredGroup],
    visits: Mapping[VisitKey, Sequence[int]],
    rule: str | Mapping[str, Any],
) -> Tensor:
    """Turn rewards into advantages, group by group, (R,).

    Where a reward gave what is no finite number all are NaN, and so is the gradient, which makes no
    update (`rl.training.update.skip_if_not_finite`).

    Args:
        rewards: Of the rows of all ranks, (R,).
        scored: The group of each visit.
        visits: For each visit the rows of its trained rollouts.
        rule: The setting `advantage`.
    """
    positions = torch.tensor(list(visits.values()))  # (P, G)
    weights = torch.tensor([scored[key].weight for key in visits])  # (P,)
    votes = trained_votes([scored[key].group for key in visits])
    advantages = torch.empty_like(rewards)
    advantages[positions] = weights[:, None] * get_advantage(rule)(rewards[positions], votes)
    if any(scored[key].num_not_finite for key in visits):
        advantages.fill_(math.nan)
    return advantages


def not_finite_alarms(scored: Sequence[ScoredGroup]) -> list[str]:
    """Name the rewards that gave what is no finite number, and say what follows."""
    counts = Counter[str]()
    for group in scored:
        counts.update(group.num_not_finite)
    return [
        f"reward {name!r}: {count} values are no finite numbers, so the batch makes no update"
        for name, count in counts.items()
    ]


def group_numbers(visits: Mapping[VisitKey, Sequence[int]]) -> Tensor:
    """Number the visits; return the number of each row's, (R,)."""
    numbers = torch.empty(sum(map(len, visits.values())), dtype=torch.long)
    for number, positions in enumerate(visits.values()):
        numbers[torch.tensor(positions)] = number
    return numbers


def count_costs(scored: Sequence[ScoredGroup], policy: Policy) -> None:
    """Count what all ranks sampled, a teacher's completions included, and what they had not to."""
    lengths = [[rollout.num_tokens for rollout in group.group.rollouts] for group in scored]
    rollouts = [rollout for group in scored for rollout in group.group.rollouts]
    num_shared = sum(rollout.branch.position for rollout in rollouts if rollout.branch)
    teachers = [group.group.teacher for group in scored if group.group.teacher is not None]
    taught = [r.num_tokens for teacher in teachers for r in teacher.rollouts if r.num_tokens]
    policy.costs.add("num_sampled_tokens", sum(r.num_sampled for r in rollouts) + sum(taught))
    policy.costs.add("num_sampled_completions", len(rollouts) + len(taught))
    if taught:
        policy.costs.add("num_teacher_tokens", sum(taught))
    saved = count_saved(lengths, policy.config.vote_budget.max)
    policy.costs.add("num_saved_completions", saved.num_completions)
    policy.costs.add("num_saved_tokens", saved.num_tokens + num_shared)
