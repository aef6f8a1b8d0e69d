"""A run from loading the model to its summary."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import get_peft_model
from transformers import PrinterCallback, ProgressCallback
from transformers.utils.logging import disable_progress_bar

from rl.data.views import num_views
from rl.data.whole_files import writing_into
from rl.errors import InputError, RunFailed
from rl.rollouts.transformers_engine import TransformersEngine
from rl.selfplay.run_settings import read_selfplay
from rl.selfplay.source import SelfPlaySource
from rl.training.batch_sizes import count_batches
from rl.training.callbacks.evaluation import PolicyEvaluation
from rl.training.callbacks.guards import GuardCallback
from rl.training.callbacks.learning_rate import ChangedLearningRate
from rl.training.callbacks.loggers import use_logged_names
from rl.training.callbacks.progress import TrainingProgress
from rl.training.callbacks.step_deadline import StepDeadline
from rl.training.changed_settings import check_sharding
from rl.training.checkpoints import checkpoint_step, set_aside
from rl.training.config import LabelFreeConfig
from rl.training.curriculum.registry import build_curricula
from rl.training.curriculum.source import CurriculumSource
from rl.training.engines import sampling_settings
from rl.training.files import MetricsFile
from rl.training.guards.budget import BudgetGuard
from rl.training.guards.contract import Guard
from rl.training.guards.registry import build_guards
from rl.training.host import LabelFreeTrainer
from rl.training.prepare import Run, model_context
from rl.training.prompt_source import PromptSource
from rl.training.source import Source
from rl.training.stopping import StopAtSignal, StopSignals
from rl.training.teacher import Teacher, WeightsTeacher
from rl.training.teacher_labels import LABELS_FILE, LabelsTeacher
from rl.training.teacher_settings import read_teacher
from rl.training.update import all_finite
from rl.training.vision_tower import freeze_vision, lora_config
from rl.trl_internals import create_model_from_path
from rl.whole_weights import whole_weights

_logger = logging.getLogger(__name__)


def train(run: Run, signals: StopSignals | None = None) -> dict[str, Any]:
    """Load the model, train it, save it, and write what came of it.

    Args:
        run: What was prepared.
        signals: Where it is asked to stop; None: nowhere.

    Returns:
        The summary that was written: the guards' verdict, metrics before and after where evaluated,
        and the cost.

    Raises:
        InputError: If the model's weights are no numbers, the disk takes no more files, or a
            checkpoint was written under another launch.
        RunFailed: If a guard ended the run as failed, after everything is written.
        RunStopped: If a signal stopped it.
    """
    config = run.config
    start = time.perf_counter()
    trainer = build_trainer(run)
    disable_progress_bar()  # a bar for each saved checkpoint would break up the training bar
    try:
        check_weights(trainer)
        guards = GuardCallback(trainer, guards_of(run), run.run_files.output_dir)
        evaluation = PolicyEvaluation(trainer, run, guards)
        add_callbacks(trainer, run, evaluation, guards, signals or StopSignals())
        if run.checkpoint is not None:
            check_sharding(run.checkpoint, trainer.accelerator.distributed_type)
        if trainer.accelerator.is_main_process:
            take_over(run)
        trainer.accelerator.wait_for_everyone()
        trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
        if all_finite(trainer.model.parameters(), trainer.accelerator):
            with writing_into(run.run_files.output_dir):
                trainer.save_model()
        summary = {
            **guards.summary(),
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
        close(trainer)
    # vLLM, colocated, has closed the connections itself.
    if torch.distributed.is_initialized() and trainer.accelerator.num_processes > 1:
        trainer.accelerator.end_training()
    if guards.failed:
        raise RunFailed(summary["verdict"])
    return summary


def close(trainer: LabelFreeTrainer) -> None:
    """End what a run holds open, however it ends."""
    progress = trainer.pop_callback(TrainingProgress)
    if isinstance(progress, TrainingProgress):
        progress.close()
    trainer.engine.close()


def add_callbacks(
    trainer: LabelFreeTrainer,
    run: Run,
    evaluation: PolicyEvaluation,
    guards: GuardCallback,
    signals: StopSignals,
) -> None:
    """Add what happens beside the steps; what ends a run comes last."""
    config = run.config
    # Printing some fifty numbers a step hides them; they are in metrics.jsonl.
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    if not config.disable_tqdm:
        trainer.add_callback(TrainingProgress())
    trainer.add_callback(StepDeadline(config.max_step_seconds))
    if run.checkpoint is not None and "learning_rate" in config.accept_changes:
        trainer.add_callback(ChangedLearningRate())
    trainer.add_callback(evaluation)
    trainer.add_callback(guards)
    trainer.add_callback(StopAtSignal(signals, trainer.accelerator))


def take_over(run: Run) -> None:
    """Leave of an earlier attempt in the folder what the run goes on from, and nothing else."""
    step = -1 if run.checkpoint is None else checkpoint_step(run.checkpoint)
    aside = set_aside(run.run_files.output_dir, step)
    if aside:
        _logger.warning("not gone on from, and set aside: %s", ", ".join(map(str, aside)))
    run.run_files.drop_steps_after(step)
    run.run_files.write_config(run.config, run.prompt_facts)


def load_model(config: LabelFreeConfig, **arguments: Any) -> Any:
    """Load a run's model, to be placed by the trainer.

    TRL's loader takes no `device_map` for "auto" where there is a GPU: each rank would spread its
    model over the GPUs of all, and ZeRO-3 refuses one.

    Args:
        config: Of the run.
        arguments: Of `from_pretrained`, instead of the recipe's.
    """
    given = {"device_map": None, **(config.model_init_kwargs or {}), **arguments}
    return create_model_from_path(config.model, **given)


def build_trainer(run: Run) -> LabelFreeTrainer:
    """Load the model and build what trains it."""
    config = run.config
    use_logged_names()
    model = load_model(config)
    adapters = None
    if config.lora is not None:
        adapters = lora_config(config.lora, model, config.freeze_vision_tower)
    elif config.freeze_vision_tower:
        freeze_vision(model)
    return LabelFreeTrainer(
        model=model,
        config=config,
        source=build_source(run),
        train_dataset=run.prompts,
        tokenizer=run.tokenizer,
        images=run.images,
        token_selector=run.token_selector,
        run_files=run.run_files,
        peft_config=adapters,
        callbacks=[MetricsFile(run.run_files, supervised=config.supervised)],
    )


def check_weights(trainer: LabelFreeTrainer) -> None:
    """Check that the model has learned numbers.

    Raises:
        InputError: If a weight is not finite.
    """
    if not all_finite(trainer.model.parameters(), trainer.accelerator):
        raise InputError(
            f"model: got weights in {trainer.args.model} that are not finite, expected numbers. "
            "Take an earlier checkpoint, or another model."
        )


def guards_of(run: Run) -> dict[str, Guard]:
    """Build the guards the settings name; `max_sampled_tokens` is a budget too."""
    guards = build_guards(run.config.guards)
    if run.config.max_sampled_tokens:
        guards["max_sampled_tokens"] = BudgetGuard(max_tokens=run.config.max_sampled_tokens)
    return guards


def build_source(run: Run) -> Source:
    """Build what makes the batches: a game, or prompts and rewards."""
    if run.game is None:
        views, teacher = num_views(run.prompts), build_teacher(run)
        source = PromptSource(run.rewards, run.reward_weights, run.labels, views, teacher)
        curricula = build_curricula(run.config.curriculum)
        return CurriculumSource(source, run.prompts, run.config, curricula) if curricula else source
    assert run.config.selfplay is not None
    settings = read_selfplay(run.config.selfplay)
    return SelfPlaySource(
        run.game,
        role_weights=settings.role_weights,
        role_mean=settings.role_mean,
        frozen_engine=build_frozen_engine(run) if settings.frozen_policy else None,
    )


def build_teacher(run: Run) -> Teacher | None:
    """Build what answers prompts beside the policy, if the settings name it."""
    config = run.config
    if config.teacher is None:
        return None
    settings = read_teacher(config.teacher)
    num_votes = settings.num_votes or config.num_generations
    if settings.kind == "offline":
        path = Path(settings.labels or run.run_files.output_dir / LABELS_FILE)
        return LabelsTeacher(path, run.prompts, num_votes)
    num_batches = count_batches(config, len(run.prompts))
    engine = build_frozen_engine(run, moves=settings.kind == "ema")
    return WeightsTeacher(settings, engine, num_votes, num_batches)


def build_frozen_engine(run: Run, moves: bool = False) -> TransformersEngine:
    """Load the model once more, to sample from it as it was before training.

    Args:
        run: What was prepared.
        moves: Whether its weights will follow the policy's: in float32, and with adapters as those.
    """
    with whole_weights():
        model: Any = load_model(run.config, **({"dtype": "float32"} if moves else {}))
    if moves and run.config.lora is not None:
        adapters = lora_config(run.config.lora, model, run.config.freeze_vision_tower)
        model = get_peft_model(model, adapters)
    model.to(PartialState().device).eval().requires_grad_(False)  # type: ignore[arg-type]
    # Sampling keeps no activations, so more rows fit a device than in training: at least a whole
    # group, whose prompt is then run once, as long as the context; of shorter rows as many more.
    num_rows = max(run.config.per_device_train_batch_size, run.config.num_generations)
    context = model_context(run.config, model.config)
    sizes: Any = (
        {"batch_size": num_rows} if context is None else {"max_positions": num_rows * context}
    )
    sizes["image_inputs"] = run.images and run.images.inputs
    return TransformersEngine(model, run.tokenizer, sampling_settings(run.config), **sizes)
