"""The settings of a run as `train.py --help` shows them: ten to begin with, the others in groups.

They are read from the source of rl/training/config.py and its parts, because to import it takes
what trains with it: many seconds for a page of text.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

# The classes that declare settings of ours.
_CLASSES = {
    "prompt_settings.py": "PromptSettings",
    "config.py": "LabelFreeConfig",
    "evaluation_settings.py": "EvaluationSettings",
}
# Fields of TRL that one needs from the start: default and meaning.
_OF_TRL = {
    "learning_rate": (1e-6, "Step size of AdamW; LoRA takes more, 1e-5 to 1e-4."),
    "max_steps": (-1, "Optimizer steps; -1: as num_train_epochs (3.0) says."),
    "top_p": (1.0, "Nucleus sampling; 1.0 is off."),
    "beta": (0.0, "Weight of the KL to the base model; 0 loads no reference."),
    "use_vllm": (False, "Sample with vLLM, not with transformers."),
    "push_to_hub": (False, "Upload the model with its card; hub_model_id says where to."),
}
GROUPS = {
    "the ten to begin with": (
        *("model", "dataset", "prompt_column", "rewards", "num_prompts", "num_generations"),
        *("max_completion_length", "learning_rate", "max_steps", "output_dir"),
    ),
    "prompts": (
        *("dataset_split", "dataset_config_name", "label_column", "system_prompt"),
        *("prompt_suffix", "image_column", "allow_remote_images", "views", "max_prompt_length"),
        *("overlong_prompts", "shuffle_dataset", "curriculum"),
    ),
    "answers": ("answer_methods", "answer_comparer", "answer_choices", "stop_strings"),
    "sampling": (
        *("num_votes", "trained_subset", "branching", "temperature", "top_p", "max_sampled_tokens"),
        *("use_vllm", "vllm_mode", "vllm_launch_server", "vllm_weight_sync", "vllm_sync_dir"),
        *("max_staleness", "engine", "max_sampling_logp_gap"),
    ),
    "update": (
        *("num_updates", "teacher", "advantage", "loss_type", "loss_terms", "beta"),
        *("token_selector", "gradient_mask", "lora", "freeze_vision_tower"),
        *("per_device_train_batch_size", "max_tokens_per_micro_batch", "skip_silent_rows"),
        *("trim_micro_batches", "shared_prompts", "gradient_ratio_every"),
    ),
    "evaluation": (
        *("eval_benchmarks", "eval_prompts", "eval_every", "eval_num_samples", "eval_base"),
        *("eval_controls", "keep_best"),
    ),
    "files and logs": (*("save_rollouts", "logging_steps", "report_to", "push_to_hub"),),
    "guards, going on and deadlines": (
        *("guards", "resume_from_checkpoint", "accept_changes"),
        *("max_reward_seconds", "max_sampling_seconds", "max_step_seconds"),
    ),
    "other kinds of runs": ("selfplay", "supervised"),
}


def settings_help() -> str:
    """Return the page: `--name (default)` and its meaning, group by group."""
    known = {**_OF_TRL, **dict(read_fields())}
    shown = {name for group in GROUPS.values() for name in group}
    groups = {**GROUPS, "others": tuple(name for name in known if name not in shown)}
    lines = []
    for title, names in groups.items():
        if names:
            lines.append(f"\n{title}:")
        for name in names:
            default, meaning = known[name]
            lines.append(f"  --{name} ({default})\n      {meaning}")
    return "\n".join(lines) + "\n"


def read_fields() -> Iterator[tuple[str, tuple[object, str]]]:
    """Yield (name, (default, meaning)) of each field that is ours."""
    for file, name in _CLASSES.items():
        tree = ast.parse(Path(__file__).with_name(file).read_text(encoding="utf-8"))
        [config] = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
        for node in config.body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Call):
                continue
            parts = {keyword.arg: keyword.value for keyword in node.value.keywords}
            meaning = ast.literal_eval(parts["metadata"])["help"]
            yield ast.unparse(node.target), (_default(parts), meaning)


def _default(parts: dict[str | None, ast.expr]) -> object:
    """Return a field's default; of one that is computed, how."""
    if "default" in parts:
        return ast.literal_eval(parts["default"])
    factory = parts["default_factory"]
    if isinstance(factory, ast.Lambda):
        try:
            return ast.literal_eval(factory.body)
        except ValueError:
            return ast.unparse(factory.body)
    return {"list": [], "dict": {}}[ast.unparse(factory)]
