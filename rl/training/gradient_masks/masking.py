"""Gradient masks by name, and one at work: outputs are summed, gradients masked before updates."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor, nn

from rl.errors import InputError
from rl.plugins import Contract, find
from rl.rollouts.engine import derive_seed
from rl.settings import build
from rl.training.gradient_masks.migu import Migu
from rl.training.gradient_masks.random_rows import RandomRows

MASK = Contract(built_with=("first_steps",), has=("keep",))

GRADIENT_MASKS: dict[str, Callable[..., Any]] = {"migu": Migu, "random_rows": RandomRows}


def build_gradient_mask(settings: Mapping[str, Mapping[str, Any] | None] | None) -> Any:
    """Build the rule that a recipe's `gradient_mask` names; None without one.

    Args:
        settings: A key of `GRADIENT_MASKS`, `package.module:Class` or `path/to/file.py:Class` ->
            the rule's settings.

    Raises:
        InputError: If there is another number of names than one, a name or a setting is unknown,
            or a value breaks its rule.
    """
    if settings is None:
        return None
    if len(settings) != 1:
        raise InputError(
            f"gradient_mask: got {len(settings)} names, expected one. Write "
            "`gradient_mask: {NAME: {setting: value}}`."
        )
    [(name, given)] = settings.items()
    rule = find(name, GRADIENT_MASKS, "gradient_mask", contract=MASK)
    return build(f"gradient_mask.{name}", rule, given or {})


class GradientMasking:
    """Masks the gradient between backward pass and update.

    Linear layers that are trained are masked by rows, one for each output, all but the output
    layer, whose logits are computed in parts. Passes without gradient are not summed over.

    Args:
        rule: Chooses rows; None masks nothing.
        model: The policy, not wrapped.
        accelerator: Knows the ranks.
        seed: Of the run.

    Raises:
        InputError: If the gradients are sharded, or belong to DeepSpeed, whose step follows the
            backward pass at once.
    """

    def __init__(self, rule: Any, model: Any, accelerator: Accelerator, seed: int) -> None:
        self.rule, self.accelerator, self.seed = rule, accelerator, seed
        self.layers: dict[str, nn.Linear] = {}
        if rule is None:
            return
        if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.FSDP):
            raise InputError(
                f"gradient_mask: got a launch with {accelerator.distributed_type.value}, expected "
                "one process or DDP: gradients cannot be reached between backward pass and update. "
                "Launch with recipes/accelerate/multi_gpu.yaml, or remove gradient_mask."
            )
        head = model.get_output_embeddings()
        self.layers = {
            name: layer
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and layer is not head and layer.weight.requires_grad
        }
        self.magnitudes: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            layer.register_forward_hook(self._adding_to(name))
        self._begin()

    def _begin(self) -> None:
        for name, layer in self.layers.items():
            size, device = layer.out_features, layer.weight.device
            self.magnitudes[name] = torch.zeros(size, device=device)

    def _adding_to(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            if torch.is_grad_enabled() and layer.training:
                values = output.detach().abs().flatten(0, -2).float().sum(dim=0)
                # The sums begin on the device where the layer is by then.
                self.magnitudes[name] = self.magnitudes[name].to(values.device) + values

        return add

    def apply(self, step: int) -> dict[str, float]:
        """Mask the gradient of an optimizer step; every rank must call it.

        Args:
            step: Number of the step, from 0.

        Returns:
            signal/masked_frac: share of the linear layers' weights that were not updated; nothing
            where nothing is masked.
        """
        if not self.layers or step < self.rule.first_steps:
            if self.layers:
                self._begin()
            return {}
        everything = torch.cat(list(self.magnitudes.values()))
        summed: Any = self.accelerator.reduce(everything, reduction="sum")
        num_masked, num_weights, start = 0, 0, 0
        for number, layer in enumerate(self.layers.values()):
            mine = summed[start : start + layer.out_features]
            start += layer.out_features
            kept = self.rule.keep(mine, derive_seed(self.seed, "gradient_mask", step, number))
            num_weights += layer.weight.numel()
            num_masked += int((~kept).sum()) * layer.in_features
            if layer.weight.grad is not None:
                layer.weight.grad.mul_(kept[:, None].to(layer.weight.grad.dtype))
        self._begin()
        return {"signal/masked_frac": num_masked / num_weights}
