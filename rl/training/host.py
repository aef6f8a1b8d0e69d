"""The host: TRL's trainer, fed by a source and an engine of ours."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.integrations.deepspeed import deepspeed_load_checkpoint
from trl.trainer.grpo_trainer import GRPOTrainer

from rl.groups.memory import load_signals, prompt_signals
from rl.groups.raw_entropies import return_raw_entropies
from rl.groups.token_statistics import add_token_statistics
from rl.rollouts.agreement import StartCheck
from rl.rollouts.ahead_engine import AheadEngine
from rl.rollouts.engine import RolloutEngine
from rl.training.batch_log import count_tokens, log_batch
from rl.training.checkpoints import Checkpoints
from rl.training.collective_calls import run_together
from rl.training.compaction import Compaction
from rl.training.config import LabelFreeConfig
from rl.training.costs import CostMeter
from rl.training.engines import build_engine
from rl.training.files import RunFiles
from rl.training.gradient_masks.masking import GradientMasking, build_gradient_mask
from rl.training.layout import (
    are_truncated,
    in_parts,
    lay_out,
    leave_out_unscorable,
    prompt_and_completion,
)
from rl.training.losses.terms import build_loss_terms
from rl.training.model_card import WritesModelCard
from rl.training.prompt_order import PromptSampler
from rl.training.resume import load_buffer, save_buffer, save_memories
from rl.training.run_images import RunImages
from rl.training.sampler_correction import SamplerCorrection
from rl.training.sampling import Sampling
from rl.training.self_teacher import SelfTeacher
from rl.training.shared_prompts import share_prompts
from rl.training.source import Batch, Source
from rl.training.step_means import StepMeans
from rl.training.step_metrics import gathered, reward_metrics
from rl.training.token_selection import TokenSelector
from rl.training.token_terms import SelectedTokenTerms, clip_range
from rl.training.update import kept_schedule, skip_if_not_finite
from rl.trl_internals import (
    disable_gradient_checkpointing,
    never_called,
    unwrap_model_for_generation,
    use_adapter,
)


class LabelFreeTrainer(WritesModelCard, GRPOTrainer):
    """Trains a policy on the batches of a source; optimizer, sharding and loss are TRL's.

    A generation batch: weights go to the engine, the source makes a `Batch`, its rows become
    tensors with the log-probabilities that the loss needs, rows that cannot be scored are masked,
    tokens are selected, and the rows are cut into compact micro-batches.

    All use of the inside of TRL's trainer is in this class. Overridden, with TRL 1.16's signatures:
        `_prepare_inputs`: a new batch is due; ours comes from the source instead of TRL's sampling.
        `_compute_loss`: the loss of fewer rows is scaled, further terms are added.
        `_get_per_token_logps_and_entropies`: those of the loss serve these terms. Also called.
        `_get_train_sampler`: the order of prompts must not depend on where a run was stopped.
        `_save_checkpoint`, `_get_output_dir`: memories and unused rows; written aside. Also called.
        `_run_epoch`: a run resumed after its last step takes no further one.
        `_get_grad_norm`: no update with a gradient that is not finite.
    Called: `_load_from_checkpoint` and `_load_optimizer_and_scheduler`, to go back to one.
    Read: `_step` and `_buffered_inputs`, which a resumed run sets, `_metrics` (as `logged`) and
    `_logs` (as `table`), where what is logged is put. And of TRL's public attributes `beta` is a
    property here, and `epsilon_low` and `epsilon_high` are set anew for each micro-batch.

    Args:
        model: The policy.
        config: Settings of the run.
        source: Makes the batches.
        train_dataset: What a source's inputs are rows of.
        tokenizer: The policy's tokenizer.
        images: Those of the prompts, of a vision-language model; None for a model of text alone.
        token_selector: Chooses the tokens that are trained; None trains all.
        engine: What samples completions; None builds the one the configuration names.
        run_files: Where the run's files go; None writes none.
        peft_config: LoRA settings; None trains all weights.
        callbacks: Further callbacks.
    """

    accelerator: Accelerator
    args: LabelFreeConfig
    model: PreTrainedModel
    pad_to_multiple_of: int | None
    _buffered_inputs: Any
    _row_scale = 1.0
    _resumed_from: Path | None = None

    def __init__(
        self,
        model: PreTrainedModel,
        config: LabelFreeConfig,
        source: Source,
        train_dataset: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        token_selector: TokenSelector | None = None,
        engine: RolloutEngine | None = None,
        run_files: RunFiles | None = None,
        peft_config: Any = None,
        callbacks: list[TrainerCallback] | None = None,
        images: RunImages | None = None,
    ) -> None:
        # The engine is ours, so TRL must not start one; its vLLM settings still rule the loss.
        without_engine = copy(config)
        without_engine.use_vllm = False
        super().__init__(
            model=model,
            reward_funcs=never_called,  # type: ignore[arg-type]
            args=without_engine,
            train_dataset=train_dataset,
            processing_class=tokenizer if images is None else images.inputs.processor,
            peft_config=peft_config,
            callbacks=callbacks,
        )
        # They also correct for samples of an older policy, whatever sampled them.
        self.use_vllm = self.args.use_vllm = config.use_vllm or config.max_staleness > 0
        corrects = self.use_vllm and config.vllm_importance_sampling_correction
        self.correction = SamplerCorrection(config, self.accelerator) if corrects else None
        self.source = source
        self.tokenizer, self.images = tokenizer, images
        self.token_selector = token_selector
        self.run_files = run_files
        self.logged = self._metrics["train"]  # name -> values since the last log
        self.table = self._logs  # of completions, printed every so often
        self.costs, self.step_means = CostMeter(), StepMeans(self.accelerator)
        self.memories: dict[str, Any] = {"token selector": token_selector, "costs": self.costs}
        output_dir = Path(config.output_dir)
        self.checkpoints = Checkpoints(output_dir, self.accelerator, config.save_total_limit)
        policy = self.model, tokenizer, self.accelerator, self.generation_context
        self.engine = engine or build_engine(config, *policy, images and images.inputs)
        if config.max_staleness:
            self.engine = AheadEngine(self.engine, carries_over=config.max_staleness > 1)
        self.sampling = Sampling(self, source)
        self.start_check = StartCheck(config.max_sampling_logp_gap, self.accelerator)
        unwrap: Any = self.accelerator.unwrap_model
        models = [unwrap(model) for model in (self.model, self.ref_model) if model]
        models = [m.get_base_model() if is_peft_model(m) else m for m in models]
        self.selected_tokens = self._prepare(models[0])
        self.loss_terms = build_loss_terms(config.loss_terms)
        known = (unwrap(self.model), self.accelerator)
        self.self_teacher = SelfTeacher(self.loss_terms, models[0], tokenizer, *known, config)
        mask = build_gradient_mask(config.gradient_mask)
        self.add_callback(GradientMasking(mask, *known, config.seed, self.add_metrics))
        selects, routes = token_selector is not None, self.aux_loss_enabled
        shares = config.shared_prompts and share_prompts(models, self.accelerator, routes, images)
        run_together(models, images, config, shares)
        self.compact = Compaction(self.accelerator, self.args, routes, selects, shares, images)

    def _prepare(self, policy: PreTrainedModel) -> SelectedTokenTerms | None:
        """Let the policy tell what token rewards and the token selector need to know."""
        selected_tokens = None
        if self.token_selector is not None:
            beta, corrects = self.args.beta, self.args.use_bias_correction_kl
            selected_tokens = SelectedTokenTerms(self.token_selector, beta, corrects, policy)
            self.beta = 0.0  # the KL term is ours then
            if getattr(self.token_selector, "raw_entropies", False) and self.temperature != 1.0:
                return_raw_entropies(policy, self.args.cast_lm_head_to_fp32)
        if self.source.needs_token_statistics or self.args.measures_tokens:
            add_token_statistics(policy, self.temperature)
        return selected_tokens

    @property
    def is_used_once(self) -> bool:
        """Whether a batch makes one update, whose forward pass is of the policy that it is from."""
        uses_per_batch = self.args.steps_per_generation * self.num_iterations
        return self.args.gradient_accumulation_steps % uses_per_batch == 0

    @property
    def signals(self) -> dict[str, Any]:
        """Name -> what has a memory that belongs into checkpoints."""
        return {**self.source.signals, **self.memories}

    # Sampling.

    def generation_context(self) -> AbstractContextManager:
        """Unwrap the policy, with sharded parameters gathered, to sample from it."""
        return unwrap_model_for_generation(self.model_wrapped, self.accelerator)  # type: ignore[arg-type]

    def sync_engine(self) -> None:
        """Hand the policy's weights to the engine, unless it holds them already."""
        self.sampling.sync()

    def next_batch(self, inputs: list[dict[str, Any]]) -> Batch:
        """Ask the source for the next batch of rollouts."""
        index = self._step // (self.args.steps_per_generation * self.num_iterations)
        return self.sampling.next_batch(inputs, index)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        num_micro_batches = self.args.steps_per_generation
        if (folder := self._resumed_from) is not None:
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
            fits = self.images is None or "dataset" not in self.args.accept_changes
            self._buffered_inputs = load_buffer(folder, self.accelerator, num_micro_batches, fits)
            self.sampling.load(folder, has_rows=self._buffered_inputs is not None)
            self._resumed_from = None
        is_due = self._step % (num_micro_batches * self.num_iterations) == 0
        if is_due or self._buffered_inputs is None:
            batch = self.next_batch(generation_batch)
            rows = self.to_tensors(batch)
            log_batch(batch, self)
            self._buffered_inputs, saved = self.compact(rows, num_micro_batches)
            self.add_metrics(saved)
        return self._buffered_inputs[self._step % num_micro_batches]

    # From rows to what the loss needs.

    def to_tensors(self, batch: Batch) -> dict[str, Any]:
        """Lay out a batch's rows, with all that the loss reads; the shapes are in `layout`."""
        device = self.accelerator.device
        pad_token_id: Any = self.tokenizer.pad_token_id
        tensors = lay_out(batch.rows, pad_token_id, self.pad_to_multiple_of)
        tensors = {name: value.to(device) for name, value in tensors.items()}
        is_truncated = are_truncated(batch.rows, [*self.eos_token_ids, pad_token_id]).to(device)
        count_tokens(tensors, is_truncated, self)
        self.add_metrics(reward_metrics(batch, self.source.reward_names, self.args.num_generations))
        if self.mask_truncated_completions:
            tensors["completion_mask"] = tensors["completion_mask"] * ~is_truncated[:, None]
        tensors |= self._measure(tensors)
        first_row = self.accelerator.process_index * len(batch.rows)
        tensors |= leave_out_unscorable(
            tensors["completion_mask"], batch.rewards, batch.advantages, first_row, self.loss_type
        )
        num_items = tensors["completion_mask"].sum()
        tensors["num_items_in_batch"] = gathered(self.accelerator, num_items).sum()
        tensors["loss_scale"] = torch.tensor(1.0)
        tensors |= self.loss_terms.weigh(tensors, self.accelerator)
        tensors |= self.self_teacher.read(batch.rows, tensors, self._run)
        if batch.policy_version == self.state.global_step:
            check, get_logps = self.start_check, lambda: self._run(tensors, self.model)[0]
            self.add_metrics(check(tensors, self.engine, get_logps))
        if self.selected_tokens is not None:
            logps, entropies = self._run(tensors, self.model, compute_entropy=True)[:2]
            selection, metrics = self.selected_tokens.select_rows(
                entropies, logps, tensors, batch, self.accelerator
            )
            tensors |= selection
            self.add_metrics(metrics)
        return tensors

    def _measure(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the log-probabilities of the policy that sampled and of the reference model."""
        found = {}
        if not self.is_used_once:
            found["old_per_token_logps"] = logps = self._run(tensors, self.model)[0]
            if self.correction is not None:
                found |= self.correction(tensors, logps)
        if self.args.beta != 0.0:
            found["ref_per_token_logps"] = self._reference_logps(tensors)
        return found

    def _reference_logps(self, tensors: Mapping[str, Tensor]) -> Tensor:
        if self.ref_model is not None:
            return self._run(tensors, self.ref_model)[0]
        # With adapters the reference is the model without them.
        model: Any = self.accelerator.unwrap_model(self.model)
        with use_adapter(model, "ref" if "ref" in model.peft_config else None):
            return self._run(tensors, self.model)[0]

    def _run(self, tensors: Mapping[str, Tensor], model: Any, **kwargs: Any) -> Any:
        """Run the rows through a model without gradient: log-probabilities, entropies."""
        settings: Any = self.args.gradient_checkpointing_kwargs
        with torch.no_grad(), disable_gradient_checkpointing(self.model, settings):
            parts = [
                self._get_per_token_logps_and_entropies(
                    model, *prompt_and_completion(rows), **self._image_inputs(rows), **kwargs
                )
                for rows in in_parts(tensors, self.args.per_device_train_batch_size)
            ]
        logps, entropies, _ = zip(*parts, strict=True)
        return torch.cat(logps), None if entropies[0] is None else torch.cat(entropies)

    def _image_inputs(self, rows: Mapping[str, Tensor]) -> dict[str, Any]:
        return self.images.inputs_of(rows, self.compact.shares_prompts) if self.images else {}

    # The loss and the update.

    @property
    def beta(self) -> float:
        """Coefficient of TRL's own KL term in the micro-batch at hand.

        Row-mean losses divide the term by all rows; the factor makes it the scorable ones.
        """
        return self._beta * self._row_scale

    @beta.setter
    def beta(self, value: float) -> None:
        self._beta = value

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> Tensor:
        self._row_scale = inputs["row_scale"][0].item()
        self.epsilon_low, self.epsilon_high = clip_range(inputs, self.args)  # type: ignore[assignment]
        inputs = inputs | self._image_inputs(inputs)
        self._inputs_of_loss = inputs
        self.self_teacher.begin(inputs, self.temperature)
        loss = super()._compute_loss(model, inputs) * inputs["loss_scale"]
        if self.selected_tokens is None and not self.loss_terms:
            return loss
        logps, entropies, _ = self._forward_of_loss
        share_of_step = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        known = (logps, entropies, inputs, share_of_step / self.accelerator.num_processes)
        metrics = {}
        if self.selected_tokens is not None:
            every = self.args.gradient_ratio_every
            compares = every > 0 and self.state.global_step % every == 0
            compares &= not self.is_deepspeed_enabled  # whose hooks take it for the backward pass
            loss, metrics = self.selected_tokens.add_to(loss, *known, compares_gradients=compares)
        loss, of_terms = self.loss_terms.add_to(loss, *known, compared=self.self_teacher.take())
        self.step_means.add(metrics | of_terms)
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if torch.is_grad_enabled():
            if self.correction is not None and self.is_used_once:
                self._inputs_of_loss |= self.correction(self._inputs_of_loss, result[0])
            if self.selected_tokens or self.loss_terms:
                self._forward_of_loss = result
        return result

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        norm: Any = super()._get_grad_norm(model, grad_norm)
        skipped = skip_if_not_finite(norm, model, self.accelerator)
        correction = {} if self.correction is None else self.correction.finish_update()
        means = self.step_means.finish()
        self.add_metrics({"grad_norm": float(norm), **skipped, **correction, **means})
        return norm

    def roll_back(self, checkpoint: Path) -> None:
        """Take the weights, the optimizer's state and the memories of a checkpoint.

        Steps, prompts and the learning rate go on as they are. Every rank must call it.
        """
        folder = str(checkpoint)
        with kept_schedule(self.lr_scheduler, self.optimizer):
            if self.is_deepspeed_enabled:
                deepspeed_load_checkpoint(self.model_wrapped, folder, not is_peft_model(self.model))
            else:
                sharded = self.model_wrapped if self.is_fsdp_enabled else None
                self._load_from_checkpoint(folder, sharded)
            self._load_optimizer_and_scheduler(folder)
        spent = {"costs", "guards", *prompt_signals(self.signals)}
        load_signals(checkpoint, {k: v for k, v in self.signals.items() if k not in spent})
        self._buffered_inputs = None  # rows of the policy that is given up
        self.sampling.start_over(checkpoint)

    # What is logged and written.

    def add_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log numbers with those of the running step, as means where they come several times."""
        for name, value in metrics.items():
            self.logged[name].append(value)

    # A stopped run goes on as if it had not been.

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:
        return PromptSampler.of_run(dataset or self.train_dataset, self.args)  # type: ignore[arg-type]

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:
        """Train; with a checkpoint folder, go on where it stopped."""
        self._resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        if self._resumed_from is not None:
            load_signals(self._resumed_from, self.signals)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # A run may be resumed at its end.
        self.control.should_training_stop |= self.state.global_step >= self.state.max_steps
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    def save_checkpoint(self) -> None:
        """Save a checkpoint of this step, whatever the schedule."""
        self._save_checkpoint(self.model, trial=None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        is_used_up = self._step % (self.args.steps_per_generation * self.num_iterations) == 0
        with self.checkpoints.writing(self.state.global_step) as folder:
            super()._save_checkpoint(model, trial)
            save_memories(folder, self.accelerator, self.signals, self.run_files)
            save_buffer(folder, self.accelerator, None if is_used_up else self._buffered_inputs)
            self.sampling.save(folder)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.checkpoints.unfinished_dir or super()._get_output_dir(trial))
