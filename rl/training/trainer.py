"""The trainer: TRL's GRPO with whole groups, label-free rewards and our advantages."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather_object, is_peft_model
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from rl.answers import verification_counters
from rl.groups.advantages import get_advantage
from rl.groups.memory import show_groups
from rl.groups.metrics import audit_metrics, group_metrics
from rl.groups.raw_entropies import return_raw_entropies
from rl.groups.scoring import (
    ScoredGroup,
    answer_groups,
    classify_samples,
    make_group,
    rewards_of_rows,
    score_group,
    trained_votes,
)
from rl.groups.token_statistics import add_statistics, add_token_statistics
from rl.groups.visits import VisitKey, choose_trained, find_visits, shard
from rl.rollouts.adaptive_votes import count_saved, sample_votes
from rl.rollouts.engine import RolloutEngine, Sample, derive_seed
from rl.training.config import LabelFreeConfig
from rl.training.files import RunFiles
from rl.training.rollout_trainer import RolloutGRPOTrainer, as_tensor
from rl.training.token_selection import TokenSelector
from rl.training.token_terms import SelectedTokenTerms
from rl.types import Group, Reward


class LabelFreeGRPOTrainer(RolloutGRPOTrainer):
    """Train a policy with rewards that see whole groups and no label.

    A step: each rank samples all votes of its share of the prompts, scores those groups once, and
    hands the trained rollouts and their advantages to the ranks whose rows they are.

    All use of TRL's internals is in this class and its parents. Overridden, with TRL 1.16's
    signatures: `_generate_single_turn` (sample votes, keep the trained ones),
    `_calculate_rewards` (score whole groups), `_generate_and_score_completions` (choice of tokens),
    `_compute_loss` (terms at selected tokens), `_get_per_token_logps_and_entropies` (those of the
    loss are kept for these terms), and what the parents name. Read: `_metrics`.

    Args:
        model: The policy.
        config: Settings of the run.
        rewards: Reward name -> callable that scores a whole group.
        reward_weights: Reward name -> weight in the summed reward.
        train_dataset: Columns `prompt`, `row`, `prompt_id` and `rendered_prompt`.
        tokenizer: The policy's tokenizer.
        labels: Row -> label; read by audit/ metrics only.
        token_selector: Chooses the tokens that are trained; None trains all.
        engine: What samples completions; None builds the one the configuration names.
        run_files: Where the run's files go; None writes none.
        peft_config: LoRA settings; None trains all weights.
        callbacks: Further callbacks.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        config: LabelFreeConfig,
        rewards: Mapping[str, Reward],
        train_dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        reward_weights: Mapping[str, float] | None = None,
        labels: Mapping[int, str] | None = None,
        token_selector: TokenSelector | None = None,
        engine: RolloutEngine | None = None,
        run_files: RunFiles | None = None,
        peft_config: Any = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(
            model=model,
            config=config,
            reward_names=list(rewards),
            reward_weights=reward_weights,
            train_dataset=train_dataset,
            tokenizer=tokenizer,
            engine=engine,
            run_files=run_files,
            peft_config=peft_config,
            callbacks=callbacks,
        )
        self.rewards = dict(rewards)
        self.labels = labels
        self.token_selector = token_selector
        self._prepare_policy(token_selector)

    def _prepare_policy(self, token_selector: TokenSelector | None) -> None:
        """Let the policy tell what token rewards and the token selector need to know."""
        model: Any = self.accelerator.unwrap_model(self.model)
        policy = model.get_base_model() if is_peft_model(model) else model
        self.selected_tokens: SelectedTokenTerms | None = None
        if token_selector is not None:
            corrects = self.args.use_bias_correction_kl
            self.selected_tokens = SelectedTokenTerms(token_selector, self.beta, corrects, policy)
            if getattr(token_selector, "raw_entropies", False) and self.temperature != 1.0:
                return_raw_entropies(policy, self.args.cast_lm_head_to_fp32)
        self.measures_tokens = any(
            getattr(reward, "needs_token_statistics", False) for reward in self.rewards.values()
        )
        if self.measures_tokens:
            add_token_statistics(policy, self.temperature)

    @property
    def signals(self) -> dict[str, Any]:
        """Name -> what has a memory: rewards, the token selector, the count of costs."""
        return {**self.rewards, "token selector": self.token_selector, **super().signals}

    # Sampling: votes on the rank that owns the visit, trained rollouts on the rank of the row.

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._inputs = inputs
        output = super()._generate_and_score_completions(inputs)
        if self.selected_tokens is not None:
            self._select_tokens(output)
        self._log_step()
        return output

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        self.sync_engine()
        rows = [
            (VisitKey(example["prompt_id"], f"{self.generation_index}-{example['row']}"), i)
            for i, example in enumerate(self._inputs)
        ]
        prompts = {key: (prompt_ids[i], self._inputs[i]) for key, i in rows}
        local_keys = [key for key, _ in rows]
        self._visits = find_visits(gather_object(local_keys), num_generations)
        known = {key: value for part in gather_object([prompts]) for key, value in part.items()}
        rank, num_ranks = self.accelerator.process_index, self.accelerator.num_processes
        mine = shard(list(self._visits), rank, num_ranks)
        with self.costs.time("sample_seconds"):
            samples = sample_votes(
                self.engine,
                [known[key][0] for key in mine],
                [derive_seed(self.args.seed, *key) for key in mine],
                self.args.vote_budget,
                partial(
                    classify_samples,
                    tokenizer=self.processing_class,
                    answer_methods=self.args.answer_methods,
                    choices=self.args.answer_choices,
                ),
                lambda is_over: all(gather_object([is_over])),
            )
        self._groups = [
            (self._to_group(key, known[key][1]["rendered_prompt"], votes), known[key][1]["row"])
            for key, votes in zip(mine, samples, strict=True)
        ]
        self._samples = [(known[key][0], votes) for key, votes in zip(mine, samples, strict=True)]
        trained = {
            key: [s for s, r in zip(votes, group.rollouts, strict=True) if r.trained]
            for key, votes, (group, _) in zip(mine, samples, self._groups, strict=True)
        }
        trained = {k: v for part in gather_object([trained]) for k, v in part.items()}
        first_row = rank * len(rows)
        chosen = [
            trained[key][self._visits[key].index(first_row + i)] for i, key in enumerate(local_keys)
        ]
        logps = [sample.sampling_per_token_logps for sample in chosen]
        return [s.completion_ids for s in chosen], None if None in logps else logps

    def _to_group(self, key: VisitKey, prompt: str, votes: list[Sample]) -> Group:
        trained = choose_trained(
            len(votes),
            self.args.num_generations,
            self.args.trained_subset,
            derive_seed(self.args.seed, "trained", *key),
        )
        return make_group(key, prompt, votes, trained, self.processing_class)

    # Scoring: each group once, on the rank that owns it; every rank then knows every score.

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> Tensor:
        with self.costs.time("score_seconds"):
            self._scored: list[ScoredGroup] = gather_object(self._score_groups())
        by_key = {scored.key: scored for scored in self._scored}
        groups = [by_key[key].group for key in self._visits]
        show_groups(self.rewards, groups)
        self.rewards_of_rows, rewards_per_func = rewards_of_rows(by_key, self._visits)
        positions = torch.tensor(list(self._visits.values()))  # (P, G)
        self.advantages_of_rows = torch.empty_like(self.rewards_of_rows)
        weights = torch.tensor([by_key[key].weight for key in self._visits])  # (P,)
        self.advantages_of_rows[positions] = weights[:, None] * get_advantage(self.args.advantage)(
            self.rewards_of_rows[positions], trained_votes(groups)
        )
        return rewards_per_func.to(self.accelerator.device)

    def _score_groups(self) -> list[ScoredGroup]:
        num_failed = verification_counters().num_failed
        groups = answer_groups(
            [group for group, _ in self._groups],
            self.args.answer_methods,
            self.args.answer_choices,
        )
        verification_counters().check()
        self.costs.add("num_failed_comparisons", verification_counters().num_failed - num_failed)
        seen_by_rewards = groups
        if self.measures_tokens:
            with self.costs.time("token_statistics_seconds"):
                seen_by_rewards = add_statistics(
                    groups,
                    self._samples,
                    model=self.model,
                    accelerator=self.accelerator,
                    tokenizer=self.processing_class,
                    batch_size=self.args.per_device_train_batch_size,
                )
        return [
            # Statistics of every token are too much to send to all ranks.
            replace(score_group(seen, row, self.rewards, self.weights), group=group)
            for group, seen, (_, row) in zip(groups, seen_by_rewards, self._groups, strict=True)
        ]

    # The loss: with a token selector, terms at selected tokens only.

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        if self.selected_tokens is None:
            return super()._compute_loss(model, inputs)
        # The KL term is ours then.
        beta, self.beta = self.beta, 0.0
        try:
            loss = super()._compute_loss(model, inputs)
        finally:
            self.beta = beta
        logps, entropies, _ = self._forward_of_loss
        num_ranks = self.accelerator.num_processes
        share_of_step = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        every = self.args.gradient_ratio_every
        loss, metrics = self.selected_tokens.add_to(
            loss,
            logps,
            entropies,
            inputs,
            share_of_step / num_ranks,
            compares_gradients=every > 0 and self.state.global_step % every == 0,
        )
        for name, value in metrics.items():
            self._metrics["train"][name].append(value.item())
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if torch.is_grad_enabled():
            self._forward_of_loss = result
        return result

    def _select_tokens(self, output: dict[str, Any]) -> None:
        """Select tokens among the rows of all ranks, so that no rank layout changes the choice."""
        assert self.selected_tokens is not None
        entropies = self.forward_without_gradient(output, compute_entropy=True)[1]
        mask = output["completion_mask"]
        all_rows = [
            as_tensor(self.accelerator.gather(self.accelerator.pad_across_processes(part, dim=1)))
            for part in (entropies.float() * mask, mask)
        ]
        groups = torch.empty(len(self.advantages_of_rows), dtype=torch.long)
        for number, positions in enumerate(self._visits.values()):
            groups[torch.tensor(positions)] = number
        selection = self.selected_tokens.select(
            all_rows[0].cpu(), all_rows[1].cpu().bool(), groups, self.advantages_of_rows
        )
        frac = selection["num_selected_in_batch"].item() / max(1, all_rows[1].sum().item())
        self._metrics["train"]["signal/selected_frac"].append(frac)
        num_rows = len(mask)
        first_row = self.accelerator.process_index * num_rows
        local = slice(first_row, first_row + num_rows)
        for name, value in selection.items():
            if value.dim():
                value = value[local]
            if value.dim() == 2:
                value = value[:, : mask.shape[1]]
            output[name] = value.to(mask.device)
        output["advantages"] = output["advantages"][:, None] * output["token_weights"]

    def _log_step(self) -> None:
        rollouts = [rollout for scored in self._scored for rollout in scored.group.rollouts]
        self.costs.add("num_sampled_tokens", sum(rollout.num_tokens for rollout in rollouts))
        self.costs.add("num_sampled_completions", len(rollouts))
        lengths = [[r.num_tokens for r in scored.group.rollouts] for scored in self._scored]
        saved = count_saved(lengths, self.args.vote_budget.max)
        self.costs.add("num_saved_completions", saved.num_completions)
        self.costs.add("num_saved_tokens", saved.num_tokens)
        with self.costs.time("log_seconds"):
            metrics = group_metrics(self._scored)
            if self.labels is not None:
                metrics |= audit_metrics(self._scored, self.labels)
            if self.run_files and self.args.save_rollouts and self.accelerator.is_main_process:
                by_key = {
                    key: self.advantages_of_rows[torch.tensor(positions)].tolist()
                    for key, positions in self._visits.items()
                }
                self.run_files.write_rollouts(self.state.global_step + 1, self._scored, by_key)
        for name, value in {**metrics, **self.costs.finish_step()}.items():
            self._metrics["train"][name].append(value)
