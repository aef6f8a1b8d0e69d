"""Ranges of settings that TRL and transformers declare by type alone, in one table.

Ours have theirs where they are declared (`rl.training.config`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from rl.rollouts.engine import TopK
from rl.settings import (
    Count,
    Finite,
    Length,
    NonNegative,
    Positive,
    PositiveShare,
    Seed,
    Share,
    check_value,
)

Steps = Annotated[int, Field(ge=1, le=10**9)]
GroupSize = Annotated[int, Field(ge=2, le=100_000)]
Staleness = Annotated[int, Field(ge=0, le=3)]
Port = Annotated[int, Field(ge=1, le=65_535)]
# Every so many steps, or a share of all steps below 1.
Interval = Annotated[float, Field(gt=0, le=10**9)]

RANGES: dict[str, Any] = {
    "seed": Seed,
    "data_seed": Seed,
    "max_steps": Literal[-1] | Steps,
    "num_train_epochs": Annotated[float, Field(gt=0, le=10**6)],
    "logging_steps": Interval,
    "save_steps": Interval,
    "save_total_limit": Annotated[int, Field(ge=1, le=10**6)],
    "dataloader_num_workers": Annotated[int, Field(ge=0, le=1024)],
    "ddp_timeout": Steps,
    # Optimizer.
    "learning_rate": NonNegative,
    "lr_scheduler_type": SchedulerType,
    "optim": OptimizerNames,
    "weight_decay": NonNegative,
    "adam_beta1": Annotated[float, Field(ge=0, lt=1)],
    "adam_beta2": Annotated[float, Field(ge=0, lt=1)],
    "adam_epsilon": Positive,
    "max_grad_norm": NonNegative,
    "warmup_steps": Annotated[float, Field(ge=0, le=10**9)],
    "neftune_noise_alpha": NonNegative,
    # Sampling.
    "top_p": PositiveShare,
    "top_k": TopK,
    "min_p": Share,
    "repetition_penalty": Positive,
    # Loss.
    "beta": NonNegative,
    "num_iterations": Count,
    "epsilon": NonNegative,
    "epsilon_high": NonNegative,
    "delta": Positive,
    "sapo_temperature_neg": Positive,
    "sapo_temperature_pos": Positive,
    "vespo_k_pos": Positive,
    "vespo_lambda_pos": Positive,
    "vespo_k_neg": Positive,
    "vespo_lambda_neg": Positive,
    "ref_model_mixup_alpha": Share,
    "ref_model_sync_steps": Steps,
    "top_entropy_quantile": Share,
    "entropy_coef": Finite,
    "entropy_coef_min": Finite,
    "entropy_coef_max": Finite,
    "entropy_coef_delta": NonNegative,
    "entropy_target": NonNegative,
    "router_aux_loss_coef": NonNegative,
    "off_policy_mask_threshold": NonNegative,
    "vllm_importance_sampling_cap": Positive,
    "vllm_importance_sampling_clip_max": Positive,
    "vllm_importance_sampling_clip_min": NonNegative,
    # vLLM.
    "vllm_server_port": Port,
    "vllm_group_port": Port,
    "vllm_server_timeout": Positive,
    "vllm_gpu_memory_utilization": PositiveShare,
    "vllm_max_model_length": Length,
    "vllm_tensor_parallel_size": Annotated[int, Field(ge=1, le=1024)],
    "vllm_model_impl": Literal["auto", "vllm", "transformers", "terratorch"],
}

# Of `peft.LoraConfig`.
LORA_RANGES: dict[str, Any] = {
    "r": Count,
    "lora_alpha": Positive,
    "lora_dropout": Annotated[float, Field(ge=0, lt=1)],
    "bias": Literal["none", "all", "lora_only"],
    "target_modules": str | list[str] | None,
    "task_type": Literal["CAUSAL_LM", None],
}


def check_ranges(config: Any) -> None:
    """Check every field of the table; None, which some of them may be, is left to their types.

    Raises:
        InputError: For the first value that is out of its range.
    """
    for name, annotation in RANGES.items():
        if getattr(config, name) is not None:
            check_value(name, annotation, getattr(config, name))
