"""Self-play in the trainer: a game in place of prompts and rewards, everything else unchanged."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rl.data.prompts import prompt_id, render_prompt
from rl.groups.visits import shard
from rl.rollouts.engine import RolloutEngine, Sample
from rl.selfplay.game import Answered, Episode, Game, Request, Round, make_episode
from rl.selfplay.role_weights import role_scales
from rl.selfplay.sampler import PolicySampler
from rl.training.rollout_trainer import RolloutGRPOTrainer

Row = TypeVar("Row")
_NO_KEY = "no episode"
_logger = logging.getLogger(__name__)


class SelfPlayGRPOTrainer(RolloutGRPOTrainer):
    """Train a policy on the episodes of a game it plays with itself.

    A generation batch is one round: the game asks for samples, which the ranks share out, and every
    rank computes the same game. The episodes it trains on take the place of the batch's rows, dealt
    out to the ranks in turn; rows that are left over are masked out and cost next to nothing. A
    round that trains nothing, or is empty, makes a step with a gradient of zero on every rank.

    Loss: TRL's with loss type dapo, a sum over tokens / all N tokens. An episode's advantage is
    multiplied with its role's scale (`role_scales`): with `role_mean` "pooled" its weight alone, as
    in the runs of SPELL's authors; with "per_role" so that the loss is the sum over roles of
    weight * mean over the role's tokens (its equation 10).

    Overridden, with TRL 1.16's signatures: `_generate_and_score_completions` (a round gives the
    rows), `_generate_single_turn` (their completions), `_calculate_rewards` (their rewards), and
    what the parents name. Read: `_metrics`.

    Args:
        game: What is played.
        role_weights: Role -> weight, 1 where not named.
        role_mean: "pooled" or "per_role".
        frozen_engine: Samples under the policy the run started from, for the game's canaries.
        kwargs: As for `RolloutGRPOTrainer`.
    """

    def __init__(
        self,
        *args: Any,
        game: Game,
        role_weights: Mapping[str, float] | None = None,
        role_mean: str = "pooled",
        frozen_engine: RolloutEngine | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, reward_names=list(game.roles), **kwargs)
        self.game = game
        self.role_weights = dict(role_weights or {})
        self.role_mean = role_mean
        self.frozen_engine = frozen_engine

    @property
    def signals(self) -> dict[str, Any]:
        """Name -> what has a memory: the game, the count of costs."""
        return {"game": self.game, **super().signals}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.sync_engine()
        sampler = PolicySampler(
            self.engine,
            self.processing_class,
            self.accelerator,
            self.costs,
            self.args.seed,
            self.generation_index,
            self.frozen_engine,
        )
        round_ = self.game.play(sampler, self.generation_index)
        self._seat(round_, sampler)
        rows = [{"prompt": row.request.prompt} for row in self._share(self._rows)]
        output = super()._generate_and_score_completions(rows)
        self._log_round(round_)
        return output

    def _seat(self, round_: Round, sampler: PolicySampler) -> None:
        """Give the trained episodes their rows, in an order all ranks agree on."""
        capacity = self.args.num_prompts * self.args.num_generations
        trained = [episode for episode in round_.episodes if episode.trained]
        if len(trained) > capacity:
            raise ValueError(f"trained episodes: got {len(trained)}, expected at most {capacity}.")
        # A row that is left over repeats an episode; it has no reward, so it counts nowhere. Where
        # nothing is trained this may be one of the frozen policy, or, of an empty round, none.
        filling = [*trained, *round_.episodes, _no_episode(self.game.roles[0])][0]
        self._rows: list[Episode] = [*trained, *[filling] * (capacity - len(trained))]
        self._num_trained = len(trained)
        end = Sample(
            completion_ids=[self.processing_class.eos_token_id],  # type: ignore[list-item]
            truncated=False,
            sampling_per_token_logps=[0.0],
        )
        samples = {_NO_KEY: [end]} | sampler.frozen_samples | sampler.samples
        self._completions: list[Sample] = [
            samples[row.request.key][row.sample] for row in self._rows
        ]

    def _share(self, rows: Sequence[Row]) -> list[Row]:
        """Those of all rows that are this rank's."""
        return shard(rows, self.accelerator.process_index, self.accelerator.num_processes)

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        own = self._share(self._completions)
        logps = [s.sampling_per_token_logps for s in own if s.sampling_per_token_logps is not None]
        return [s.completion_ids for s in own], logps if len(logps) == len(own) else None

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> Tensor:
        trained = self._rows[: self._num_trained]
        num_tokens = dict.fromkeys(self.game.roles, 0)
        for episode in trained:
            num_tokens[episode.request.role] += episode.num_tokens
        scales = role_scales(num_tokens, self.role_weights, self.role_mean)
        table = torch.full((len(self._rows), len(self.game.roles)), math.nan)
        advantages = torch.zeros(len(self._rows))
        for i, episode in enumerate(trained):
            role = episode.request.role
            assert episode.reward is not None
            assert episode.advantage is not None
            table[i, self.game.roles.index(role)] = episode.reward
            advantages[i] = episode.advantage * scales[role]
        # Rows were dealt out in turn: those of rank 0 come first in the order of all ranks.
        num_ranks = self.accelerator.num_processes
        places = range(len(table))
        order = [place for r in range(num_ranks) for place in shard(places, r, num_ranks)]
        table, advantages = table[order], advantages[order]
        self.rewards_of_rows = table.nansum(dim=1).masked_fill(table.isnan().all(dim=1), math.nan)
        self.advantages_of_rows = advantages
        return table.to(self.accelerator.device)

    def _log_round(self, round_: Round) -> None:
        nothing = [] if self._num_trained else ["nothing is trained: the step's gradient is zero"]
        for alarm in [*round_.alarms, *nothing]:
            if self.accelerator.is_main_process:
                _logger.warning("step %d: %s", self.state.global_step + 1, alarm)
        with self.costs.time("log_seconds"):
            if self.run_files and self.args.save_rollouts and self.accelerator.is_main_process:
                step = self.state.global_step + 1
                lines = rollout_lines(step, round_.episodes, self.processing_class)
                self.run_files.write_rollout_lines(step, lines)
        metrics = {f"selfplay/{name}": value for name, value in round_.metrics.items()}
        metrics["selfplay/num_alarms"] = len(round_.alarms)
        metrics["selfplay/num_trained"] = self._num_trained
        for name, value in {**metrics, **self.costs.finish_step()}.items():
            self._metrics["train"][name].append(value)


def _no_episode(role: str) -> Episode:
    """What fills the rows of a round without an episode: an end token after a word."""
    request = Request(key=_NO_KEY, role=role, prompt="nothing", num_samples=1)
    return make_episode(request, 0, Answered(completion="", num_tokens=1, truncated=False))


def rollout_lines(
    step: int, episodes: Sequence[Episode], tokenizer: PreTrainedTokenizerBase
) -> Iterator[dict[str, Any]]:
    """Describe episodes as lines of a rollout file; `visit` is the key of the request."""
    for request, same in groupby(episodes, key=lambda episode: episode.request):
        prompt = render_prompt(request.prompt, tokenizer)
        for episode in same:
            yield {
                "step": step,
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
