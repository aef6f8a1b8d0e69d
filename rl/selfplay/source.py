"""Batches of self-play: a game in place of prompts and rewards, everything else unchanged."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rl.data.prompts import prompt_id, render_prompt, tokenize_prompt
from rl.groups.visits import shard
from rl.rollouts.engine import RolloutEngine, Sample
from rl.selfplay.game import Answered, Episode, Game, Request, make_episode
from rl.selfplay.role_weights import role_scales
from rl.selfplay.sampler import PolicySampler
from rl.training.handover import hand_over
from rl.training.source import Batch, Policy, Row

_NO_NAME = ("no episode", 0)  # as `name_of` gives it


class SelfPlaySource:
    """Plays one round of a game per batch.

    The game asks for samples, which the ranks share out, and every rank computes the same game from
    their texts. The episodes it trains on take the place of the batch's rows, on the ranks where
    they were sampled as far as each gets as many (`seat`); tokens cross ranks with no others. Rows
    that are left over are masked out and cost next to nothing. A round that trains nothing, or is
    empty, makes a step with a gradient of zero on every rank.

    Loss: TRL's with loss type dapo, a sum over tokens / all N tokens. An episode's advantage is
    multiplied with its role's scale (`role_scales`): with `role_mean` "pooled" its weight alone, as
    in the runs of SPELL's authors; with "per_role" so that the loss is the sum over roles of
    weight * mean over the role's tokens (its equation 10).

    Args:
        game: What is played.
        role_weights: Role -> weight, 1 where not named.
        role_mean: "pooled" or "per_role".
        frozen_engine: Samples under the policy the run started from, for the game's canaries.
    """

    needs_token_statistics = False

    def __init__(
        self,
        game: Game,
        role_weights: Mapping[str, float] | None = None,
        role_mean: str = "pooled",
        frozen_engine: RolloutEngine | None = None,
    ) -> None:
        self.game = game
        self.role_weights = dict(role_weights or {})
        self.role_mean = role_mean
        self.frozen_engine = frozen_engine
        self.reward_names = list(game.roles)
        self.signals: dict[str, Any] = {"game": game}

    def next_batch(self, inputs: Sequence[Mapping[str, Any]], policy: Policy, index: int) -> Batch:
        """Play a round; of `inputs` only the number counts."""
        rank, num_ranks = policy.accelerator.process_index, policy.accelerator.num_processes

        # Group, sample, answer and score: the game does.
        sampler = PolicySampler(
            policy.engine,
            policy.tokenizer,
            policy.accelerator,
            policy.costs,
            policy.config.seed,
            index,
            self.frozen_engine,
            policy.config.max_sampling_seconds,
        )
        round_ = self.game.play(sampler, index)
        trained = [episode for episode in round_.episodes if episode.trained]

        # Rows: of each rank as many, where they were sampled if there is room. What is left over
        # repeats an episode; it has no reward, so it counts nowhere.
        seats = seat([sampler.homes[name_of(e)] for e in trained], num_ranks, len(inputs))
        episodes = [*trained, trained[0] if trained else _no_episode(self.game.roles[0])]
        wanted = [[name_of(episodes[number]) for number in numbers] for numbers in seats]
        held = {_NO_NAME: _no_sample(policy.tokenizer)} | sampler.samples
        samples = hand_over(held, wanted, policy.accelerator)
        rows = [
            Row(
                prompt_ids=tokenize_prompt(episode.request.prompt, policy.tokenizer),
                sample=samples[name_of(episode)],
                prompt=episode.request.prompt,
                completion=episode.completion,
            )
            for episode in (episodes[number] for number in seats[rank])
        ]

        # Advantage: the game's, by what its role counts.
        order = [number for numbers in seats for number in numbers]
        rewards_by_name, advantages = (table[order] for table in self._score(trained))
        no_reward = rewards_by_name.isnan().all(dim=1)
        keys = [episodes[number].request.key for number in order]
        groups = {key: group for group, key in enumerate(dict.fromkeys(keys))}
        nothing = [] if trained else ["nothing is trained: the step's gradient is zero"]
        return Batch(
            rows=rows,
            rewards_by_name=rewards_by_name,
            rewards=rewards_by_name.nansum(dim=1).masked_fill(no_reward, math.nan),
            advantages=advantages,
            groups=torch.tensor([groups[key] for key in keys]),
            metrics={
                **{f"selfplay/{name}": value for name, value in round_.metrics.items()},
                "selfplay/num_alarms": len(round_.alarms),
                "selfplay/num_trained": len(trained),
            },
            rollout_lines=rollout_lines(round_.episodes, policy.tokenizer),
            policy_version=policy.version,
            alarms=[*round_.alarms, *nothing],
        )

    def _score(self, trained: Sequence[Episode]) -> tuple[Tensor, Tensor]:
        """Return each episode's reward in the column of its role, and its scaled advantage.

        A last one, that of what is left over, has neither.
        """
        num_tokens = dict.fromkeys(self.game.roles, 0)
        for episode in trained:
            num_tokens[episode.request.role] += episode.num_tokens
        scales = role_scales(num_tokens, self.role_weights, self.role_mean)
        table = torch.full((len(trained) + 1, len(self.game.roles)), math.nan)
        advantages = torch.zeros(len(trained) + 1)
        for i, episode in enumerate(trained):
            role = episode.request.role
            assert episode.reward is not None
            assert episode.advantage is not None
            table[i, self.game.roles.index(role)] = episode.reward
            advantages[i] = episode.advantage * scales[role]
        return table, advantages


def seat(homes: Sequence[int], num_ranks: int, num_rows: int) -> list[list[int]]:
    """Choose the episodes of each rank's rows.

    Each rank gets as many episodes, or one less: of those it sampled the first, and what another
    rank has too many of.

    Args:
        homes: The rank that sampled each of T episodes.
        num_ranks: At least 1.
        num_rows: Of each rank.

    Returns:
        For each rank the numbers of the episodes in its rows, and T for a row that is left over.

    Raises:
        ValueError: If there are more episodes than rows.

    Example:
        >>> seat([0, 0, 0, 1], num_ranks=2, num_rows=3)
        [[0, 1, 4], [3, 2, 4]]
    """
    if len(homes) > num_ranks * num_rows:
        raise ValueError(
            f"trained episodes: got {len(homes)}, expected at most {num_ranks * num_rows}."
        )
    room = [len(shard(homes, rank, num_ranks)) for rank in range(num_ranks)]
    seats: list[list[int]] = [[] for _ in room]
    elsewhere = []
    for number, home in enumerate(homes):
        (seats[home] if len(seats[home]) < room[home] else elsewhere).append(number)
    for rank, numbers in enumerate(seats):
        num_left = room[rank] - len(numbers)
        numbers += elsewhere[:num_left]
        elsewhere = elsewhere[num_left:]
        numbers += [len(homes)] * (num_rows - len(numbers))
    return seats


def name_of(episode: Episode) -> tuple[str, int]:
    """What an episode's sample is called: its request's key and its number."""
    return episode.request.key, episode.sample


def _no_sample(tokenizer: PreTrainedTokenizerBase) -> Sample:
    """What is trained of no episode: an end token."""
    return Sample(
        completion_ids=[tokenizer.eos_token_id],  # type: ignore[list-item]
        truncated=False,
        sampling_per_token_logps=[0.0],
    )


def _no_episode(role: str) -> Episode:
    """What fills the rows of a round that trains nothing: an end token after a word."""
    request = Request(key=_NO_NAME[0], role=role, prompt="nothing", num_samples=1)
    return make_episode(request, 0, Answered(completion="", num_tokens=1, truncated=False))


def rollout_lines(
    episodes: Sequence[Episode], tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, Any]]:
    """Describe episodes as lines of a rollout file; `visit` is the key of the request."""
    for request, same in groupby(episodes, key=lambda episode: episode.request):
        prompt = render_prompt(request.prompt, tokenizer)
        for episode in same:
            yield {
                "prompt_id": prompt_id(prompt),
                "visit": request.key,
                "prompt": prompt,
                "rollout": episode.sample,
                "role": request.role,
                "completion": episode.completion,
                "answer": episode.answer,
                "cluster": None,
                "num_tokens": episode.num_tokens,
                "truncated": episode.truncated,
                "trained": episode.trained,
                "rewards": dict(episode.rewards),
                "reward": episode.reward,
                "advantage": episode.advantage,
            }
