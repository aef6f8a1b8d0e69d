"""Which settings may change when a run goes on from a checkpoint: the one rule.

A setting that is in no list below changes what is computed. It is refused, unless
`accept_changes` names it. The lists hold those that do not, or only under a condition. What files
hold that settings name (`rl.training.named_files`) belongs to these settings.
"""

import logging
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from accelerate.utils import DistributedType

from rl.errors import InputError
from rl.training.files import LIBRARIES, read_config, resolved_settings
from rl.training.named_files import file_hashes
from rl.training.resume import BUFFER_FILES
from rl.versions import git_commit, library_versions

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig

logger = logging.getLogger(__name__)

# How long a run is. With a constant learning rate no step depends on it.
LENGTHS = ("max_steps", "num_train_epochs", "max_sampled_tokens")
# How rows are shared out. Rollouts and gradients stay the same up to rounding, but rows that a
# checkpoint holds unused fit the old layout only.
LAYOUT = ("per_device_train_batch_size", "processes", "shared_prompts")
# The optimizer's state in the checkpoint has its own, or does not fit: nothing can be accepted.
KEPT_BY_THE_CHECKPOINT = (
    *("optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("lora", "freeze_vision_tower"),
)
# Which prompts come of them is compared itself (`rl.data.prompt_lengths.check_same_prompts`).
TOLD_BY_THE_PROMPTS = (
    *("dataset", "dataset_split", "dataset_config_name", "prompt_column", "image_column"),
    *("system_prompt", "prompt_suffix", "max_prompt_length", "overlong_prompts"),
    "vllm_max_model_length",
)
# What is written, shown or measured, and where and how fast things are computed.
HARMLESS = (
    *("output_dir", "run_name", "report_to", "project", "disable_tqdm", "max_sampling_logp_gap"),
    *("skip_memory_metrics", "include_num_input_tokens_seen", "num_completions_to_print"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_empty_cache_steps"),
    *("skip_silent_rows", "trim_micro_batches", "max_tokens_per_micro_batch", "use_cpu"),
    *("keep_best", "accelerator_config", "label_names", "prediction_loss_only", "debug"),
    *("per_device_eval_batch_size", "gradient_ratio_every", "ds3_gather_for_generation"),
    *("max_reward_seconds", "max_sampling_seconds", "max_step_seconds"),
    *("vllm_gpu_memory_utilization", "vllm_tensor_parallel_size", "vllm_group_port"),
    *("vllm_launch_server", "vllm_weight_sync", "vllm_sync_dir", "allow_remote_images"),
)
CHANGE_NO_NUMBER = (  # settings that begin so
    *("log_", "logging_", "save_", "hub_", "push_", "trackio_", "dataloader_", "ddp_"),
    "vllm_server_",
)
HARMLESS_BEGINNINGS = (*CHANGE_NO_NUMBER, "eval_")  # an evaluation changes its own numbers alone
# Follow from others, or say how the run goes on.
NOT_COMPARED = (
    *("gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"),
    *("resume_from_checkpoint", "accept_changes", "local_rank"),
)


def check_changed_settings(checkpoint: Path, config: "LabelFreeConfig") -> list[str]:
    """Compare a run's settings with those its checkpoint was written under.

    Returns:
        What is different and goes, as `name old -> new`; the main process shows it too.

    Raises:
        InputError: If a setting is different that changes what is computed.
    """
    saved = read_config(checkpoint)
    if saved is None:  # written without the files of a run
        return []
    changed = _changed(saved, config)
    now = resolved_settings(config)
    goes = {name for name in changed if _goes(name, now, checkpoint)}
    kept = [name for name in changed if name in KEPT_BY_THE_CHECKPOINT]
    goes |= set(config.accept_changes) - set(kept)
    for name, advice in (
        *((name, "Set it back, or start anew in another output_dir.") for name in kept),
        *((name, _advice(name)) for name in changed if name not in goes),
    ):
        old, new = changed[name]
        raise InputError(
            f"{name}: got {_short(new)}, expected {_short(old)} as in {checkpoint}. {advice}"
        )
    lines = [f"{name} {_short(old)} -> {_short(new)}" for name, (old, new) in changed.items()]
    lines += _changed_files(saved, checkpoint, config)
    lines += _changed_software(saved)
    if lines and PartialState().is_main_process:
        logger.warning("goes on from %s with changes: %s", checkpoint, "; ".join(lines))
    return lines


def check_finished_run(folder: Path, config: "LabelFreeConfig") -> None:
    """Check that a finished run had these settings, but for those that change no number of it.

    Raises:
        InputError: If one, or a file that it names, is different and not in `accept_changes`.
    """
    saved = read_config(folder)
    if saved is None:  # trained without the files of a run
        return
    goes = {*HARMLESS, *config.accept_changes, "eval_base"}
    for name, (old, new) in _changed(saved, config).items():
        if name not in goes and not name.startswith(CHANGE_NO_NUMBER):
            raise InputError(
                f"{name}: got {_short(new)}, expected {_short(old)} as in the finished {folder}. "
                "Set it back, remove that folder to run it anew, or say that it is meant: "
                f"`accept_changes: [{name}]` among the settings."
            )
    _changed_files(saved, folder, config)


def _changed(saved: Mapping[str, Any], config: "LabelFreeConfig") -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ from those of a run: name -> what it was and is."""
    was = {**saved["settings"], "processes": saved["geometry"]["processes"]}
    now = {**resolved_settings(config), "processes": config.world_size}
    defaults = _defaults(type(config))
    return {
        name: (was.get(name, defaults.get(name)), value)
        for name, value in now.items()
        if name not in NOT_COMPARED and value != was.get(name, defaults.get(name))
    }


def _goes(name: str, settings: Mapping[str, Any], checkpoint: Path) -> bool:
    """Whether a change of a setting leaves what is computed as it is."""
    if name in LENGTHS:
        return name == "max_sampled_tokens" or settings["lr_scheduler_type"] == "constant"
    if name == "skip_silent_rows" and settings["gradient_mask"] is not None:
        return False  # outputs are summed over the rows that are run
    if name in LAYOUT:
        return not list(checkpoint.glob(BUFFER_FILES)) and not list(checkpoint.glob("global_step*"))
    return name in (*TOLD_BY_THE_PROMPTS, *HARMLESS) or name.startswith(HARMLESS_BEGINNINGS)


def _advice(name: str) -> str:
    return (
        "Set it back, start anew in another output_dir, or say that it is meant: "
        f"--accept_changes '[{name}]'."
    )


def _changed_files(
    saved: Mapping[str, Any], checkpoint: Path, config: "LabelFreeConfig"
) -> list[str]:
    lines = []
    was = saved.get("contents", {})  # an older version wrote none
    for setting, hashes in file_hashes(resolved_settings(config)).items():
        for name, content in hashes.items():
            if was.get(setting, {}).get(name, content) == content:
                continue
            if setting not in config.accept_changes:
                raise InputError(
                    f"{setting}: got another content of {name}, expected what it held when "
                    f"{checkpoint} was written. {_advice(setting)}"
                )
            lines.append(f"{setting}: {name} holds something else")
    return lines


def _changed_software(saved: Mapping[str, Any]) -> list[str]:
    was = {"git_commit": saved["git_commit"], **saved["versions"]}
    now = {"git_commit": git_commit(), **library_versions(LIBRARIES)}
    return [f"{name} {was.get(name)} -> {now[name]}" for name in now if now[name] != was.get(name)]


def check_sharding(checkpoint: Path, distributed_type: DistributedType) -> None:
    """Check that a checkpoint's optimizer can be read by the launch at hand.

    Raises:
        InputError: If it was written under DeepSpeed or FSDP and this is not, or the other way.
    """
    written = ""
    if list(checkpoint.glob("global_step*")):
        written = "DeepSpeed"
    elif list(checkpoint.glob("pytorch_model_fsdp*")):
        written = "FSDP"
    names = {DistributedType.DEEPSPEED: "DeepSpeed", DistributedType.FSDP: "FSDP"}
    launched = names.get(distributed_type, "")
    if launched != written:
        raise InputError(
            f"launch: got {launched or 'neither DeepSpeed nor FSDP'}, expected "
            f"{written or 'neither DeepSpeed nor FSDP'} as {checkpoint} was written under. Launch "
            "it the same way, or start anew in another output_dir."
        )


def _defaults(config_class: type) -> dict[str, Any]:
    """Values of settings that a checkpoint of an older version does not know."""
    return {
        field.name: field.default_factory()
        if field.default_factory is not MISSING
        else field.default
        for field in fields(config_class)
    }


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
