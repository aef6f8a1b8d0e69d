"""A run from loading the model to its summary."""

import time
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import (
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from rl.rollouts.engine import RolloutEngine
from rl.rollouts.transformers_engine import TransformersEngine
from rl.selfplay.run_settings import read_selfplay
from rl.selfplay.source import SelfPlaySource
from rl.training.callbacks.evaluation import PolicyEvaluation
from rl.training.callbacks.loggers import use_logged_names
from rl.training.callbacks.progress import TrainingProgress
from rl.training.engines import sampling_settings
from rl.training.files import MetricsFile
from rl.training.host import LabelFreeTrainer
from rl.training.prepare import Run
from rl.training.prompt_source import PromptSource
from rl.training.source import Source
from rl.trl_internals import create_model_from_path


def train(run: Run) -> dict[str, Any]:
    """Load the model, train it, save it, and write what came of it.

    Returns:
        The summary that was written: metrics before and after where evaluated, and the cost.
    """
    config = run.config
    start = time.perf_counter()
    trainer = build_trainer(run)
    disable_progress_bar()  # a bar for each saved checkpoint would break up the training bar
    try:
        # Printing some fifty numbers a step hides them; they are in metrics.jsonl.
        trainer.remove_callback(ProgressCallback)
        trainer.remove_callback(PrinterCallback)
        if not config.disable_tqdm:
            trainer.add_callback(TrainingProgress())
        evaluation = PolicyEvaluation(trainer, run)
        trainer.add_callback(evaluation)
        if config.max_sampled_tokens:
            trainer.add_callback(TokenBudget(trainer, config.max_sampled_tokens))
        if trainer.accelerator.is_main_process:
            if run.checkpoint is not None:
                step = int(run.checkpoint.name.rpartition("-")[2])
                run.run_files.drop_steps_after(step)
            run.run_files.write_config(config, run.prompt_facts)
        trainer.accelerator.wait_for_everyone()
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
        trainer.save_model()
        summary = {
            **({"supervised": True} if config.supervised else {}),
            **evaluation.results,
            "cost": {
                "seconds": time.perf_counter() - start,
                "optimizer_steps": trainer.state.global_step,
                **trainer.costs.total,
            },
        }
        if trainer.accelerator.is_main_process:
            run.run_files.write_summary(summary)
        trainer.create_model_card()
        if config.push_to_hub:
            trainer.push_to_hub()  # again, for the card of the finished run
        # A rank that ends while another still uses its connections may abort in their threads.
        trainer.accelerator.wait_for_everyone()
    finally:
        trainer.engine.close()
    # vLLM, colocated, has closed the connections itself.
    if torch.distributed.is_initialized() and trainer.accelerator.num_processes > 1:
        trainer.accelerator.end_training()
    return summary


def build_trainer(run: Run) -> LabelFreeTrainer:
    """Load the model and build what trains it."""
    config = run.config
    use_logged_names()
    return LabelFreeTrainer(
        model=create_model_from_path(config.model, **(config.model_init_kwargs or {})),
        config=config,
        source=build_source(run),
        train_dataset=run.prompts,
        tokenizer=run.tokenizer,
        token_selector=run.token_selector,
        run_files=run.run_files,
        peft_config=LoraConfig(**config.lora) if config.lora is not None else None,
        callbacks=[MetricsFile(run.run_files, supervised=config.supervised)],
    )


def build_source(run: Run) -> Source:
    """Build what makes the batches: a game, or prompts and rewards."""
    if run.game is None:
        return PromptSource(run.rewards, run.reward_weights, run.labels)
    assert run.config.selfplay is not None
    settings = read_selfplay(run.config.selfplay)
    return SelfPlaySource(
        run.game,
        role_weights=settings.role_weights,
        role_mean=settings.role_mean,
        frozen_engine=build_frozen_engine(run) if settings.frozen_policy else None,
    )


def build_frozen_engine(run: Run) -> RolloutEngine:
    """Load the model once more, to sample from it as it was before training."""
    model = create_model_from_path(run.config.model, **(run.config.model_init_kwargs or {}))
    model.to(PartialState().device).eval().requires_grad_(False)  # type: ignore[arg-type]
    # At least a whole group, whose prompt is then run once; sampling keeps no activations, so more
    # rows fit a device than in training.
    batch_size = max(run.config.per_device_train_batch_size, run.config.num_generations)
    return TransformersEngine(model, run.tokenizer, sampling_settings(run.config), batch_size)


class TokenBudget(TrainerCallback):
    """Stops training after the step in which the run has sampled its budget of tokens."""

    def __init__(self, trainer: LabelFreeTrainer, max_sampled_tokens: int) -> None:
        self.trainer = trainer
        self.max_sampled_tokens = max_sampled_tokens

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop where the budget is spent; every rank knows the same count."""
        if self.trainer.costs.total["num_sampled_tokens"] >= self.max_sampled_tokens:
            control.should_training_stop = True
