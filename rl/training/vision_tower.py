"""Which part of a vision-language model is trained: by default the language model alone."""

import re
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as LORA_TARGETS
from torch import nn
from transformers import PreTrainedModel


def vision_modules(model: PreTrainedModel) -> list[str]:
    """Name the modules beside the language model and its output head: encoder and projector.

    Args:
        model: Without wrappers; of a model of text alone there are none.
    """
    parts = (model.get_decoder(), model.get_output_embeddings())
    language = {id(module) for part in parts if part is not None for module in part.modules()}
    found: list[str] = []
    for name, module in model.named_modules():
        if name.startswith(tuple(f"{outer}." for outer in found)):
            continue
        if not any(id(inner) in language for inner in module.modules()):
            found.append(name)
    return [name for name in found if any(True for _ in _parameters(model, name))]


def _parameters(model: PreTrainedModel, name: str) -> Any:
    module: nn.Module = model.get_submodule(name)
    return module.parameters()


def trains_vision(model: PreTrainedModel) -> bool:
    """Tell whether an update changes a part of what `vision_modules` names, adapters among it."""
    return any(p.requires_grad for name in vision_modules(model) for p in _parameters(model, name))


def freeze_vision(model: PreTrainedModel) -> None:
    """Let no update change what turns pixels into what the language model reads.

    Of a few hundred to a few thousand rollouts a vision encoder learns little, and may forget what
    it knows; both parts are left out in the defaults of tools for fine-tuning (LLaMA-Factory's
    `freeze_vision_tower` and `freeze_multi_modal_projector`).
    """
    for name in vision_modules(model):
        model.get_submodule(name).requires_grad_(False)


def lora_config(
    settings: Mapping[str, Any], model: PreTrainedModel, leaves_vision_out: bool
) -> LoraConfig:
    """Build what `peft` is given for a model.

    Args:
        settings: The setting `lora`. Without `target_modules`, those `peft` takes for the model, or
            for its language model.
        model: Without adapters.
        leaves_vision_out: Whether modules of the vision part get no adapter, where `settings` do
            not say which to leave out.
    """
    added: dict[str, Any] = {}
    text_type = model.config.get_text_config().model_type
    if model.config.model_type not in LORA_TARGETS and text_type in LORA_TARGETS:
        added["target_modules"] = LORA_TARGETS[text_type]
    names = vision_modules(model) if leaves_vision_out else []
    if names:
        added["exclude_modules"] = rf"({'|'.join(map(re.escape, names))})(\..*)?"
    return LoraConfig(**{**added, **settings})
