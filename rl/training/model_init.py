"""What of `from_pretrained` a recipe may set, in `model_init_kwargs`, and whether a model fits."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers
from peft import inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError, safe_open
from transformers import Trainer, get_scheduler

from rl.errors import InputError
from rl.plugins import require_allowed
from rl.settings import check_settings
from rl.training.vision_tower import freeze_vision, lora_config
from rl.whole_weights import whole_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.training.config import LabelFreeConfig

_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


def check_model_init(settings: Mapping[str, Any] | None, model: str) -> None:
    """Check names, types and values, and that code which comes with a model may be run.

    Raises:
        InputError: If one is unknown or wrong, or names code that was not allowed.
    """
    found = check_settings("model_init_kwargs", _model_init, settings or {})
    attention = found.get("attn_implementation", "sdpa")
    if "/" in attention:
        what = "model_init_kwargs.attn_implementation"
        require_allowed(attention, what, f"a kernel from the hub, {attention}")
    elif attention not in _ATTENTION:
        raise InputError(
            f"model_init_kwargs.attn_implementation: got {attention!r}, expected one of "
            f"{', '.join(_ATTENTION)}. Name one, or leave it out."
        )
    if found.get("trust_remote_code"):
        check_remote_code(model)


def check_model(
    config: "LabelFreeConfig", model_config: Any, tokenizer: "PreTrainedTokenizerBase"
) -> Any:
    """Build the model without weights, which takes no memory: do its parts go together?

    Returns:
        It, with its adapters, and with no part trained that the run does not train; None where its
        class is code of its own.

    Raises:
        InputError: If there is no such architecture or its sizes are none, its vocabulary is
            smaller than the tokenizer's, a LoRA finds no module or changes the output head, the
            optimizer or its schedule cannot be built, or a file of weights is damaged.
    """
    _check_weights(config.model)
    model = _skeleton(config, model_config)
    if model is None:
        return None
    num_rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > num_rows:
        raise InputError(
            f"model: got {config.model}, whose tokenizer has {len(tokenizer)} tokens and whose "
            f"embedding {num_rows}, expected those of one model. Put the model's own tokenizer "
            "into its folder."
        )
    if config.lora is not None:
        try:
            adapters = lora_config(config.lora, model, config.freeze_vision_tower)
            inject_adapter_in_model(adapters, model)
        except ValueError as error:
            raise InputError(
                f"lora.target_modules: got {error}, expected names of the model's modules. Set "
                "target_modules: all-linear, or correct them."
            ) from error
        _check_head(model)
    elif config.freeze_vision_tower:
        freeze_vision(model)
    _check_optimizer(config, model)
    return model


def _check_head(model: Any) -> None:
    """Check that LoRA leaves the output head alone: the loss multiplies by its weight itself."""
    head = model.get_output_embeddings()
    if isinstance(head, BaseTunerLayer):
        name = next(name for name, module in model.named_modules() if module is head)
        raise InputError(
            f"lora.target_modules: got {name} among them, the output head, expected modules before "
            "it: the loss reads the head's own weight, and no adapter of it would be trained. "
            f"Leave it out, or train it whole with modules_to_save: [{name}]."
        )


def _skeleton(config: "LabelFreeConfig", model_config: Any) -> Any:
    """The model with weights of no content; None where its class is code of its own."""
    name = (getattr(model_config, "architectures", None) or [""])[0]
    architecture = getattr(transformers, name, None) if isinstance(name, str) else None
    if architecture is None and config.trust_remote_code:
        return None
    what = f"model: got {config.model}, expected a language model"
    if architecture is None or not hasattr(architecture, "generate"):
        raise InputError(
            f"{what}, but its config.json names the architecture {name!r}. Name another folder."
        )
    attention = (config.model_init_kwargs or {}).get("attn_implementation")
    if attention is not None:
        model_config._attn_implementation = attention
    try:
        # A vision-language model builds its parts as models, which ZeRO-3 would split over ranks.
        with torch.device("meta"), whole_weights():
            return architecture(model_config)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{what} that can be built ({reason}). Mend its config.json, name another model, or "
            "install what is missing."
        ) from error


def _check_optimizer(config: "LabelFreeConfig", model: Any) -> None:
    """Build the optimizer's class and its schedule as the trainer will, on nothing."""
    try:
        Trainer.get_optimizer_cls_and_kwargs(config, model)
    except (ValueError, ImportError, KeyError) as error:
        raise InputError(
            f"optim: got {config.optim!s} with optim_args {config.optim_args!r}, expected an "
            f"optimizer that is installed ({error}). Name another, or install its package."
        ) from error
    schedule: Any = config.lr_scheduler_kwargs or {}
    nothing = torch.optim.SGD([torch.zeros(1)], lr=config.learning_rate)
    try:
        get_scheduler(
            config.lr_scheduler_type,
            nothing,
            num_warmup_steps=0,
            num_training_steps=1,
            scheduler_specific_kwargs=dict(schedule),
        )
    except (ValueError, TypeError) as error:
        raise InputError(
            f"lr_scheduler_kwargs: got {config.lr_scheduler_kwargs!r}, expected what the schedule "
            f"{config.lr_scheduler_type!s} takes ({error}). Correct them."
        ) from error


def _check_weights(model: str) -> None:
    """Read the heads of a folder's files of weights; a hub id is left to the hub."""
    folder = Path(model)
    if not folder.is_dir():
        return
    files = sorted(folder.glob("*.safetensors"))
    if not files and not list(folder.glob("pytorch_model*.bin*")):
        raise InputError(
            f"model: got {model}, which has no weights (*.safetensors), expected a whole model. "
            "Copy them there."
        )
    for path in files:
        try:
            with safe_open(path, framework="pt"):
                pass
        except SafetensorError as error:
            raise InputError(
                f"model: got {path}, expected a whole file of weights ({error}). Copy it again."
            ) from error


def check_remote_code(model: str) -> None:
    """Check that the Python files in a model's folder may be run.

    Raises:
        InputError: If that was not allowed.
    """
    require_allowed("trust_remote_code", "recipe", f"the Python files that come with {model}")


def _model_init(
    *,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32",
    attn_implementation: str = "sdpa",
    revision: str = "main",
    variant: str | None = None,
    subfolder: str = "",
    quantization_config: dict[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> None:
    """Their names and types; all else is a part of a model's config.json."""
