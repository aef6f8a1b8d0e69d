"""A run from loading the model to its summary."""

import time
from typing import Any

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
from trl.trainer.utils import create_model_from_path

from rl.policy_evaluation import PolicyEvaluation
from rl.preparation import Run
from rl.progress import TrainingProgress
from rl.run_files import MetricsFile
from rl.trainer import LabelFreeGRPOTrainer


def train(run: Run) -> dict[str, Any]:
    """Load the model, train it, save it, and write what came of it.

    Returns:
        The summary that was written: metrics before and after where evaluated, and the cost.
    """
    config = run.config
    start = time.perf_counter()
    trainer = LabelFreeGRPOTrainer(
        model=create_model_from_path(config.model, **(config.model_init_kwargs or {})),
        config=config,
        rewards=run.rewards,
        reward_weights=run.reward_weights,
        train_dataset=run.prompts,
        tokenizer=run.tokenizer,
        labels=run.labels,
        token_selector=run.token_selector,
        run_files=run.run_files,
        peft_config=LoraConfig(**config.lora) if config.lora is not None else None,
        callbacks=[MetricsFile(run.run_files, supervised=config.supervised)],
    )
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
            run.run_files.write_config(config)
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
        return summary
    finally:
        trainer.engine.close()


class TokenBudget(TrainerCallback):
    """Stops training after the step in which the run has sampled its budget of tokens."""

    def __init__(self, trainer: LabelFreeGRPOTrainer, max_sampled_tokens: int) -> None:
        self.trainer = trainer
        self.max_sampled_tokens = max_sampled_tokens

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop where the budget is spent; every rank knows the same count."""
        if self.trainer.costs.total["num_sampled_tokens"] >= self.max_sampled_tokens:
            control.should_training_stop = True
