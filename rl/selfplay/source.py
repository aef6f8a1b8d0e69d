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
from rl.selfplay.game import Answered, Episode, Game, Request, Round, make_episode
from rl.selfplay.role_weights import role_scales
from rl.selfplay.sampler import PolicySampler
from rl.training.source import Batch, Policy, Row

_NO_KEY = "no episode"


class SelfPlaySource:
    """Plays one round of a game per batch.

    The game asks for samples, which the ranks share out, and every rank computes the same game. The
    episodes it trains on take the place of the batch's rows, dealt out to the ranks in turn; rows
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

        # Advantage: the game's, by what its role counts. Rows that are left over have none.
        num_rows = len(inputs) * num_ranks
        rewards_by_name, advantages = self._score(trained, num_rows)

        # Rows: dealt out in turn, so in the order of all ranks those of rank 0 come first.
        seated = seat(trained, round_, num_rows, self.game.roles[0])
        samples = sampled_by_key(sampler, policy.tokenizer)
        order = [place for r in range(num_ranks) for place in shard(range(num_rows), r, num_ranks)]
        rewards_by_name = rewards_by_name[order]
        no_reward = rewards_by_name.isnan().all(dim=1)
        keys = [seated[place].request.key for place in order]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        rows = [
            Row(
                prompt_ids=tokenize_prompt(episode.request.prompt, policy.tokenizer),
                sample=samples[episode.request.key][episode.sample],
                prompt=episode.request.prompt,
                completion=episode.completion,
            )
            for episode in shard(seated, rank, num_ranks)
        ]
        nothing = [] if trained else ["nothing is trained: the step's gradient is zero"]
        return Batch(
            rows=rows,
            rewards_by_name=rewards_by_name,
            rewards=rewards_by_name.nansum(dim=1).masked_fill(no_reward, math.nan),
            advantages=advantages[order],
            groups=torch.tensor([numbers[key] for key in keys]),
            metrics={
                **{f"selfplay/{name}": value for name, value in round_.metrics.items()},
                "selfplay/num_alarms": len(round_.alarms),
                "selfplay/num_trained": len(trained),
            },
            rollout_lines=rollout_lines(round_.episodes, policy.tokenizer),
            policy_version=policy.version,
            alarms=[*round_.alarms, *nothing],
        )

    def _score(self, trained: Sequence[Episode], num_rows: int) -> tuple[Tensor, Tensor]:
        """Return each row's reward in the column of its role, and each row's scaled advantage."""
        num_tokens = dict.fromkeys(self.game.roles, 0)
        for episode in trained:
            num_tokens[episode.request.role] += episode.num_tokens
        scales = role_scales(num_tokens, self.role_weights, self.role_mean)
        table = torch.full((num_rows, len(self.game.roles)), math.nan)
        advantages = torch.zeros(num_rows)
        for i, episode in enumerate(trained):
            role = episode.request.role
            assert episode.reward is not None
            assert episode.advantage is not None
            table[i, self.game.roles.index(role)] = episode.reward
            advantages[i] = episode.advantage * scales[role]
        return table, advantages


def seat(trained: Sequence[Episode], round_: Round, num_rows: int, role: str) -> list[Episode]:
    """Give the trained episodes the first rows, and fill up the others with one that exists.

    Raises:
        ValueError: If there are more of them than rows.
    """
    if len(trained) > num_rows:
        raise ValueError(f"trained episodes: got {len(trained)}, expected at most {num_rows}.")
    # A row that is left over repeats an episode; it has no reward, so it counts nowhere. Where
    # nothing is trained this may be one of the frozen policy, or, of an empty round, none.
    filling = [*trained, *round_.episodes, _no_episode(role)][0]
    return [*trained, *[filling] * (num_rows - len(trained))]


def sampled_by_key(
    sampler: PolicySampler, tokenizer: PreTrainedTokenizerBase
) -> dict[str, list[Sample]]:
    """Return the samples of every request of the round, and that of no episode."""
    end = Sample(
        completion_ids=[tokenizer.eos_token_id],  # type: ignore[list-item]
        truncated=False,
        sampling_per_token_logps=[0.0],
    )
    return {_NO_KEY: [end]} | sampler.frozen_samples | sampler.samples


def _no_episode(role: str) -> Episode:
    """What fills the rows of a round without an episode: an end token after a word."""
    request = Request(key=_NO_KEY, role=role, prompt="nothing", num_samples=1)
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
