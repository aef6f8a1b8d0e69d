"""Reading a model's full weights wherever they lie, under the names vLLM loads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from torch import Tensor
from torch.distributed.tensor import DTensor

from rl.trl_internals import DistributedBackend

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel


def full_parameters(
    model: "PreTrainedModel | PeftModel", accelerator: "Accelerator"
) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter in full under its checkpoint name, LoRA adapters merged in.

    Under ZeRO-3 and FSDP2 a parameter is gathered while it is held, which is a collective
    operation: every rank must run through the whole iterator. Tied weights come once.

    Args:
        model: The model as the trainer holds it, not wrapped for distributed data parallelism.
        accelerator: The trainer's accelerator, which knows how the model is sharded.
    """
    backend = DistributedBackend(accelerator)
    if not isinstance(model, PeftModel):
        for name, parameter in model.named_parameters():
            with backend.gather_params([parameter]):
                yield _checkpoint_name(name), _materialize(parameter)
        return
    # Adapters are merged into whole weights, so all of them are gathered at once.
    with backend.gather_params(list(model.parameters())):
        model.merge_adapter()
        for name, parameter in model.named_parameters():
            if model.prefix not in name and "original_module" not in name:
                yield _checkpoint_name(name), _materialize(parameter)
        model.unmerge_adapter()


def trained_parameters(
    model: torch.nn.Module, accelerator: "Accelerator"
) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter that is trained in full, adapters as they are, under its own name.

    As for `full_parameters` every rank must run through the whole iterator.

    Args:
        model: See `full_parameters`.
        accelerator: See `full_parameters`.
    """
    backend = DistributedBackend(accelerator)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            with backend.gather_params([parameter]):
                yield name.replace("_checkpoint_wrapped_module.", ""), _materialize(parameter)


def _checkpoint_name(name: str) -> str:
    name = name.removeprefix("base_model.model.")
    for wrapper in (".base_layer", "modules_to_save.default.", "_checkpoint_wrapped_module."):
        name = name.replace(wrapper, "")
    return name


def _materialize(parameter: torch.nn.Parameter) -> Tensor:
    return parameter.full_tensor() if isinstance(parameter, DTensor) else parameter.data
