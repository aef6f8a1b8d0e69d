"""Gradient masks by name, and one at work: outputs are summed, gradients masked before updates."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.optim import Optimizer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.errors import InputError
from rl.plugins import Contract, find
from rl.rollouts.engine import derive_seed
from rl.settings import StepsOrNone, build, check_value
from rl.training.gradient_masks.migu import Migu
from rl.training.gradient_masks.random_rows import RandomRows
from rl.training.gradient_masks.sharded_gradients import check_gradients_are_reached, gradients_of
from rl.training.gradient_masks.token_counts import counts_of_packed, counts_of_rows
from rl.training.plugin_tensors import tensor_of

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
    mask = build(f"gradient_mask.{name}", rule, given or {})
    check_value(
        f"gradient_mask.{name}.first_steps", StepsOrNone, getattr(mask, "first_steps", None)
    )
    return mask


def choose_rows(rule: Any, magnitudes: Tensor, seed: int) -> Tensor:
    """Return which of a layer's D rows a rule keeps, (D,).

    Raises:
        InputError: If the rule raises, or returns anything but true or false for each row.
    """
    what = f"gradient_mask, keep of {type(rule).__name__}"
    kept = tensor_of(what, rule.keep, magnitudes, seed, shape=magnitudes.shape)
    if kept.dtype != torch.bool:
        raise InputError(
            f"{what}: got a tensor of {kept.dtype}, expected torch.bool, True for rows that are "
            "updated. Compare with something, or return mask.bool()."
        )
    return kept


class GradientMasking(TrainerCallback):
    """Masks what the optimizer steps on, after the gradient is reduced over ranks and clipped.

    Linear layers that are trained are masked by rows, one for each output, all but the output
    layer, whose logits are computed in parts. Passes without gradient are not summed over, nor are
    padding and rows that only fill up; a prompt that is run once for several rows counts for each
    (`rl.training.gradient_masks.token_counts`). Layers that do not run the tokens of the rows one
    by one, as in a vision tower or an expert, sum all they run. The rows are chosen once a step,
    from the sums of all ranks, and wherever a gradient is sharded (FSDP2, ZeRO of stage 1 to 3)
    each rank masks its own part, so that no launch changes the update. A step that the optimizer
    does not make is not masked.

    Args:
        rule: Chooses rows; None masks nothing.
        model: The policy, not wrapped.
        accelerator: Knows the ranks.
        seed: Of the run.
        log: Takes signal/masked_frac at a step that is masked: the share of the linear layers'
            weights that are not updated.

    Raises:
        InputError: If rows of the gradients cannot be reached under the launch at hand.
    """

    def __init__(
        self,
        rule: Any,
        model: Any,
        accelerator: Accelerator,
        seed: int,
        log: Callable[[Mapping[str, float]], None],
    ) -> None:
        self.rule, self.accelerator, self.seed, self.log = rule, accelerator, seed, log
        self.layers: dict[str, nn.Linear] = {}
        self.step = 0
        self._counts: Tensor | None = None  # of the tokens of the pass at hand
        self._begin()
        if rule is None:
            return
        check_gradients_are_reached(accelerator)
        head = set(model.get_output_embeddings().modules())  # peft may wrap it
        self.layers = {
            name: layer
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and layer not in head and layer.weight.requires_grad
        }
        for name, layer in self.layers.items():
            layer.register_forward_hook(self._adding_to(name))
        policy = model.get_base_model() if is_peft_model(model) else model
        policy.register_forward_pre_hook(self._count_rows, with_kwargs=True)
        if (backbone := getattr(policy, "base_model", None)) is not None:
            backbone.register_forward_pre_hook(self._count_run, with_kwargs=True)

    def _count_rows(self, model: nn.Module, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        mask, labels = kwargs.get("attention_mask"), kwargs.get("labels")
        self._counts = None
        if mask is not None and labels is not None:
            self._counts = counts_of_rows(mask, labels)

    def _count_run(self, backbone: nn.Module, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        """Count what is run of the rows: packed, or with a row more."""
        if self._counts is None:
            return
        num_rows, length = self._counts.shape
        if (packed := kwargs.get("shared_prompts")) is not None:
            self._counts = counts_of_packed(packed, num_rows)
        elif (ids := kwargs.get("input_ids")) is not None:
            more = (0, ids.shape[1] - length, 0, ids.shape[0] - num_rows)
            self._counts = pad(self._counts, more)

    def _begin(self) -> None:
        self.magnitudes: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] | None = None

    def _adding_to(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            if torch.is_grad_enabled() and layer.training:
                values = output.detach().abs().float()
                if self._counts is not None and self._counts.shape == values.shape[:-1]:
                    values = values * self._counts[..., None]
                values = values.flatten(0, -2).sum(dim=0)
                self.magnitudes[name] = self.magnitudes.get(name, 0.0) + values

        return add

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Mask from here on before each step of the optimizer."""
        if self.layers:
            self.gradients = gradients_of(kwargs["optimizer"])
            for optimizer in self.gradients.optimizers:
                optimizer.register_step_pre_hook(self._mask)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the sums anew."""
        self.step = state.global_step
        self._begin()

    def _mask(self, optimizer: Optimizer, *_: Any) -> None:
        if self.step < self.rule.first_steps:
            return
        if self.kept is None:  # ZeRO steps several times in a step of ours
            self.kept = self._choose()
        for name, layer in self.layers.items():
            self.gradients.keep_rows(optimizer, layer.weight, self.kept[name])

    def _choose(self) -> dict[str, Tensor]:
        """Choose the rows of each layer; every rank must call it."""
        sums = [
            self.magnitudes[name]
            if name in self.magnitudes
            else torch.zeros(layer.out_features, device=self.accelerator.device)
            for name, layer in self.layers.items()
        ]
        everything: Any = self.accelerator.reduce(torch.cat(sums), reduction="sum")
        kept, num_masked, num_weights = {}, 0, 0
        parts = everything.split([layer.out_features for layer in self.layers.values()])
        for number, ((name, layer), mine) in enumerate(
            zip(self.layers.items(), parts, strict=True)
        ):
            seed = derive_seed(self.seed, "gradient_mask", self.step, number)
            kept[name] = choose_rows(self.rule, mine, seed)
            num_masked += int((~kept[name]).sum()) * layer.in_features
            num_weights += layer.out_features * layer.in_features
        self.log({"signal/masked_frac": num_masked / num_weights})
        return kept
