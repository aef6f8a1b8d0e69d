"""The rollout engine of a training run, by its settings."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from rl.rollouts.engine import RolloutEngine, SamplingSettings
from rl.rollouts.engines import TrainedPolicy, engine_class
from rl.rollouts.weights import full_parameters
from rl.training.config import LabelFreeConfig

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rl.data.image_inputs import ImageInputs


def sampling_settings(config: LabelFreeConfig) -> SamplingSettings:
    """Pick the sampling settings out of a run's configuration."""
    return SamplingSettings(
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p or 0.0,
        repetition_penalty=config.repetition_penalty,
        stop_strings=tuple(config.stop_strings),
    )


def build_engine(
    config: LabelFreeConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    accelerator: "Accelerator",
    generation_context: Callable[[], AbstractContextManager],
    image_inputs: "ImageInputs | None" = None,
) -> RolloutEngine:
    """Build the engine that `engine`, or `use_vllm` and `vllm_mode`, name.

    Raises:
        InputError: If there is no such engine, or it cannot work with the way the model is sharded.
    """
    policy = TrainedPolicy(
        config=config,
        model=model,
        tokenizer=tokenizer,
        accelerator=accelerator,
        generation_context=generation_context,
        parameters=partial(full_parameters, model, accelerator),
        image_inputs=image_inputs,
    )
    return engine_class(config.engine_name, "for_run", "engine").for_run(
        policy, sampling_settings(config)
    )
