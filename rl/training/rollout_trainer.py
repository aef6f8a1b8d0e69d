"""TRL's trainer, fed by a rollout engine of ours; what cannot be scored teaches nothing."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import nanstd

from rl.rollouts.agreement import check_logp_gap, sum_logp_gaps
from rl.rollouts.engine import RolloutEngine
from rl.training.compact_trainer import ROW_MEAN_LOSSES, CompactGRPOTrainer
from rl.training.config import LabelFreeConfig
from rl.training.costs import CostMeter
from rl.training.engines import build_engine
from rl.training.files import RunFiles


class RolloutGRPOTrainer(CompactGRPOTrainer):
    """TRL's trainer with an engine of ours: weights, trust, advantages, costs and files of a run.

    A subclass samples in `_generate_single_turn` and sets, in `_calculate_rewards`,
    `rewards_of_rows` and `advantages_of_rows` for the rows of all ranks; a reward of NaN is one
    that cannot be scored.

    Overridden, with TRL 1.16's signatures: `_generate_and_score_completions` (our advantages and
    masks in its result), `_compute_loss` (normaliser without unscorable rows), and what
    `ResumableGRPOTrainer` and `CompactGRPOTrainer` name. Called:
    `_get_per_token_logps_and_entropies`. Read: `_step`, `_metrics`.

    Args:
        model: The policy.
        config: Settings of the run.
        reward_names: Names of the rewards, in the order of `_calculate_rewards`' columns.
        reward_weights: Reward name -> weight in the summed reward.
        train_dataset: What a step's rows are made of.
        tokenizer: The policy's tokenizer.
        engine: What samples completions; None builds the one the configuration names.
        run_files: Where the run's files go; None writes none.
        peft_config: LoRA settings; None trains all weights.
        callbacks: Further callbacks.
    """

    accelerator: Accelerator
    args: LabelFreeConfig
    model: PreTrainedModel
    processing_class: PreTrainedTokenizerBase
    rewards_of_rows: Tensor
    advantages_of_rows: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        config: LabelFreeConfig,
        reward_names: list[str],
        train_dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        reward_weights: Mapping[str, float] | None = None,
        engine: RolloutEngine | None = None,
        run_files: RunFiles | None = None,
        peft_config: Any = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        never_called: Any = [_never_called for _ in reward_names]
        # The engine is ours, so TRL must not start one; its vLLM settings still rule the loss.
        use_vllm, config.use_vllm = config.use_vllm, False
        super().__init__(
            model=model,
            reward_funcs=never_called,
            args=config,
            train_dataset=train_dataset,
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=callbacks,
        )
        config.use_vllm = use_vllm
        self.reward_func_names = list(reward_names)
        self.weights = {name: (reward_weights or {}).get(name, 1.0) for name in reward_names}
        self.reward_weights = torch.tensor([self.weights[name] for name in reward_names])
        self.run_files = run_files
        self.engine = engine or build_engine(
            config, self.model, tokenizer, self.accelerator, self.generation_context
        )
        self.use_vllm = use_vllm
        self._synced_step = -1
        self._checked_sampler = False
        self.costs = CostMeter()

    @property
    def signals(self) -> dict[str, Any]:
        """Name -> what has a memory that belongs into checkpoints."""
        return {"costs": self.costs}

    def generation_context(self) -> AbstractContextManager:
        """Unwrap the policy, with sharded parameters gathered, to sample from it."""
        model: Any = self.model_wrapped
        return unwrap_model_for_generation(model, self.accelerator)

    def sync_engine(self) -> None:
        """Hand the policy's weights to the engine, unless it holds them already."""
        if self._synced_step == self.state.global_step:
            return
        with self.costs.time("sync_seconds"):
            self.engine.sync_weights()
        self._synced_step = self.state.global_step

    @property
    def generation_index(self) -> int:
        """Number of the generation batch, from 0."""
        return self._step // (self.args.steps_per_generation * self.num_iterations)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        # TRL's own sum of several rewards counts a missing one as 0.
        logged = self._metrics["train" if self.model.training else "eval"]
        logged["reward"][-1] = self.rewards_of_rows.nanmean().item()
        logged["reward_std"][-1] = nanstd(self.rewards_of_rows).item()
        first_row = self.accelerator.process_index * len(inputs)
        local = slice(first_row, first_row + len(inputs))
        self._mask_unscorable(output, local)
        self._check_sampler_agrees(output)
        return output

    # The loss: unscorable rows carry no gradient and are in no normaliser.

    def _mask_unscorable(self, output: dict[str, Any], local: slice) -> None:
        device = output["completion_mask"].device
        # An advantage rule may teach where no reward was paid, as RESTRAIN punishes silence.
        scorable = ~self.rewards_of_rows.isnan() | (self.advantages_of_rows != 0)
        keep = scorable[local].to(device)
        output["completion_mask"] = output["completion_mask"] * keep[:, None]
        num_items = output["completion_mask"].sum()
        output["num_items_in_batch"] = torch.sum(as_tensor(self.accelerator.gather(num_items)))
        # Row-mean losses divide by all rows; this factor makes it the scorable ones.
        row_scale = 1.0
        if self.loss_type in ROW_MEAN_LOSSES and scorable.any():
            row_scale = len(scorable) / scorable.sum().item()
        output["advantages"] = (self.advantages_of_rows[local] * row_scale).to(device)
        output["row_scale"] = torch.full((len(keep),), row_scale, device=device)

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        beta = self.beta
        self.beta = beta * inputs["row_scale"][0].item()
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self.beta = beta

    def forward_without_gradient(self, output: dict[str, Any], **kwargs: Any) -> Any:
        """Run the generated rows through the policy as it is before the first update on them."""
        with torch.no_grad():
            return self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
                output["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
                **kwargs,
            )

    # Trust: before the first update, sampler and trainer must agree on the untouched model.

    def _check_sampler_agrees(self, output: dict[str, Any]) -> None:
        sampled = output.get("sampling_per_token_logps")
        if (
            self._checked_sampler
            or sampled is None
            or not self.engine.settings.is_full_distribution
        ):
            return
        logps = output.get("old_per_token_logps")
        if logps is None:
            logps = self.forward_without_gradient(output)[0]
        mask = output["completion_mask"].bool()
        sums = as_tensor(self.accelerator.reduce(sum_logp_gaps(logps, sampled, mask)))
        if not sums[1]:  # no row counts, as in an empty round
            return
        self._checked_sampler = True
        gap = check_logp_gap(sums[0].item(), sums[1].item(), self.args.max_sampling_logp_gap)
        self._metrics["train"]["signal/start_sampling_logp_gap"].append(gap)


def as_tensor(gathered: Any) -> Tensor:
    """Narrow the type of what Accelerate returns for a tensor."""
    assert isinstance(gathered, Tensor)
    return gathered


def _never_called(*args: Any, **kwargs: Any) -> list[float]:
    raise AssertionError("rewards are computed by `_calculate_rewards`")
