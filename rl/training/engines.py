"""Build the rollout engine a training run's settings name."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from rl.errors import InputError
from rl.rollouts.engine import RolloutEngine, SamplingSettings
from rl.rollouts.transformers_engine import TransformersEngine
from rl.rollouts.vllm_engine import VLLMEngine
from rl.rollouts.vllm_server import training_dtype
from rl.rollouts.vllm_server_engine import VLLMServerEngine
from rl.rollouts.weights import full_parameters
from rl.training.config import LabelFreeConfig

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sampling_settings(config: LabelFreeConfig) -> SamplingSettings:
    """Pick the sampling settings out of a run's configuration."""
    return SamplingSettings(
        max_completion_length=config.max_completion_length,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p or 0.0,
        repetition_penalty=config.repetition_penalty,
    )


def build_engine(
    config: LabelFreeConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    accelerator: "Accelerator",
    generation_context: Callable[[], AbstractContextManager],
) -> RolloutEngine:
    """Build the engine: transformers, vLLM colocated on each rank, or a vLLM server.

    Raises:
        InputError: If the engine cannot work with the way the model is sharded.
    """
    settings = sampling_settings(config)
    if not config.use_vllm:
        if accelerator.state.distributed_type == "FSDP":
            raise InputError(
                "use_vllm: got false under FSDP, expected true. Ranks sample different numbers of "
                "tokens, which sharded forward passes cannot; set use_vllm: true."
            )
        return TransformersEngine(model, tokenizer, settings, generation_context=generation_context)
    parameters = partial(full_parameters, model, accelerator)
    if config.vllm_mode == "server":
        return VLLMServerEngine.connect(config, settings, parameters, accelerator)
    return colocated_engine(config, settings, parameters, accelerator)


def colocated_engine(
    config: LabelFreeConfig,
    settings: SamplingSettings,
    parameters: Callable,
    accelerator: "Accelerator",
) -> VLLMEngine:
    """Start a vLLM engine on this rank that shares its device with the trainer."""
    # vLLM's external launcher reads its place among the ranks from the environment.
    os.environ.setdefault("RANK", str(accelerator.process_index))
    os.environ.setdefault("LOCAL_RANK", str(accelerator.local_process_index))
    os.environ.setdefault("WORLD_SIZE", str(accelerator.num_processes))
    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "0")
    return VLLMEngine.from_pretrained(
        config.model,
        settings,
        max_model_length=config.vllm_max_model_length,
        parameters=parameters,
        dtype=training_dtype(config),
        gpu_memory_utilization=config.vllm_gpu_memory_utilization,
        distributed_executor_backend="external_launcher",
        model_impl=config.vllm_model_impl,
        trust_remote_code=config.trust_remote_code,
        max_num_batched_tokens=4096,
        seed=0,
    )
