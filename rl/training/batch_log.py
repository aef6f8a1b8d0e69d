"""What is told of a batch: alarms, its rollouts in a file and in TRL's table, its metrics."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from rl.training.source import Batch
from rl.training.step_metrics import add_to_table, gathered, length_metrics

if TYPE_CHECKING:
    from rl.training.host import LabelFreeTrainer

_logger = logging.getLogger(__name__)


def count_tokens(
    tensors: Mapping[str, Tensor], is_truncated: Tensor, trainer: "LabelFreeTrainer"
) -> None:
    """Count a batch's tokens, and log how long its completions are; every rank must call it."""
    prompts = tensors["prompt_mask"].sum(dim=1)
    completions = tensors["completion_mask"].sum(dim=1)
    num_tokens = int(gathered(trainer.accelerator, prompts + completions).sum())
    trainer.state.num_input_tokens_seen += num_tokens
    trainer.logged["num_tokens"] = [trainer.state.num_input_tokens_seen]
    trainer.add_metrics(length_metrics(completions, is_truncated, trainer.accelerator))


def log_batch(batch: Batch, trainer: "LabelFreeTrainer") -> None:
    """Tell what a batch was, on the main process, and log its metrics; every rank must call it."""
    config, costs = trainer.args, trainer.costs
    step, is_main = trainer.state.global_step + 1, trainer.accelerator.is_main_process
    for alarm in batch.alarms if is_main else ():
        _logger.warning("step %d: %s", step, alarm)
    with costs.time("log_seconds"):
        if trainer.run_files and config.save_rollouts and is_main:
            images = trainer.images and trainer.images.rows
            trainer.run_files.write_rollouts(step, batch.rollout_lines, images)
        if trainer.log_completions:
            add_to_table(trainer.table, batch, trainer.source.reward_names)
    if config.max_staleness:
        trainer.add_metrics({"sampling/stale_steps": step - 1 - batch.policy_version})
    trainer.add_metrics({**batch.metrics, **costs.finish_step()})
