"""A stand-in image for forward passes without one, where ranks wait for each other in every layer.

A forward pass of rows without images never calls the vision tower. Ranks whose passes differ in
that would wait for ever: under ZeRO-3 and FSDP each layer's weights are gathered from all ranks, in
the forward pass and again in the backward pass, and a trained tower's gradients are to come from
all ranks under DDP and ZeRO-2 too. So a pass without images is given one row more, which has a
small black image and whose output is dropped: all ranks call the same layers in the same order, and
nothing but zeros reaches the tower's gradients from it.

The idea is known from others (verl and LLaMA-Factory run a dummy image there); that the row is one
more of the same call is ours. It needs no knowledge of how a model joins its tower to its text, and
models that share prompts pack it with the others.
"""

from collections.abc import Sequence
from functools import wraps
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from rl.data.chat_parts import NO_IMAGES
from rl.data.image_inputs import ImageInputs
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.run_images import STAND_IN, STAND_IN_SIDE, RunImages, stand_in_image
from rl.training.sharding import sharding_of
from rl.training.vision_tower import trains_vision


def waits_in_tower(
    config: LabelFreeConfig, num_ranks: int, models: Sequence[PreTrainedModel] = ()
) -> bool:
    """Whether ranks wait for each other in the vision tower, in a run whose data set has images.

    Args:
        config: Settings of the run.
        num_ranks: Ranks of the run.
        models: Without wrappers, and with what is trained of them: with LoRA's own settings a part
            of the tower may be, though it is frozen (`modules_to_save`, `exclude_modules`).
    """
    is_collective = bool(sharding_of(config)) or not config.freeze_vision_tower
    return num_ranks > 1 and (is_collective or any(map(trains_vision, models)))


def check_router_loss(
    config: LabelFreeConfig,
    model_config: Any,
    rows: RowImages,
    num_ranks: int,
    models: Sequence[PreTrainedModel] = (),
) -> None:
    """Check that no loss but that of scored tokens sees the row that stands in.

    Args:
        config: Settings of a run whose data set has images.
        model_config: Of the model.
        rows: These images.
        num_ranks: Ranks of the run.
        models: As `waits_in_tower` takes them; without them what LoRA trains is not known.

    Raises:
        InputError: If a router's loss, a mean over all tokens, would.
    """
    if all(rows.sizes.values()):  # nothing stands in
        return
    text_config, coefficient = model_config.get_text_config(), config.router_aux_loss_coef
    if coefficient is None:
        coefficient = getattr(text_config, "router_aux_loss_coef", 0.0)
    has_router_loss = hasattr(text_config, "output_router_logits") and coefficient != 0.0
    if has_router_loss and waits_in_tower(config, num_ranks, models):
        raise InputError(
            f"router_aux_loss_coef: got {coefficient} for prompts with images beside prompts "
            f"without on {num_ranks} ranks that share their layers, expected 0. Set it, or train "
            "the two apart."
        )


def add_stand_in(
    models: Sequence[PreTrainedModel],
    images: RunImages | None,
    config: LabelFreeConfig,
    shares_prompts: bool = False,
) -> None:
    """Let models run their vision tower in each call for values of tokens, images or not.

    That is, called with TRL's `fused_lm_head=True` or with `token_statistics=True`, and `labels`;
    without gradient only where weights are sharded. Any other call is as before, and all are where
    no rank waits for another.

    Args:
        models: The policy, and the reference model if there is one, without wrappers, after what
            else changes their forward passes.
        images: Those of the prompts.
        config: Settings of the run.
        shares_prompts: Whether the models run a prompt once for all of its rows.

    Raises:
        InputError: If a router's loss would see it (`check_router_loss`).
    """
    if images is None or images.rows is None:
        return
    num_ranks = PartialState().num_processes
    if waits_in_tower(config, num_ranks, models):
        check_router_loss(config, models[0].config, images.rows, num_ranks, models)
        stand_in = StandIn(images.inputs, shares_prompts)
        for model in models:
            give_stand_in(model, stand_in, is_sharded=bool(sharding_of(config)))


def give_stand_in(model: PreTrainedModel, stand_in: "StandIn", is_sharded: bool) -> None:
    """Let one model run a stand-in in calls without images; see `add_stand_in`."""
    original: Any = model.forward

    @wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        asks = kwargs.get("fused_lm_head") or kwargs.get("token_statistics")
        is_collective = is_sharded or torch.is_grad_enabled()
        if not asks or not is_collective or kwargs.get("pixel_values") is not None:
            return original(*args, **kwargs)
        num_rows, length = kwargs["input_ids"].shape
        outputs = original(*args, **stand_in.added_to(kwargs))
        if isinstance(outputs, Tensor):  # statistics, (S, B + 1, L)
            return outputs[:, :num_rows, : length - 1]
        for name, value in outputs.items():
            if value.dim() == 2:  # of tokens, (B + 1, L)
                outputs[name] = value[:num_rows, : length - 1]
        return outputs

    model.forward = forward


class StandIn:
    """A row of a black image and one token, as a model is given it.

    Args:
        inputs: The model's processor.
        as_number: Whether the model takes numbers of images in the place of pixels
            (`rl.training.shared_images`).
    """

    def __init__(self, inputs: ImageInputs, as_number: bool = False) -> None:
        self.inputs, self.as_number = inputs, as_number
        self.pixels = inputs.pixels([stand_in_image()])
        end: Any = inputs.processor.tokenizer.eos_token_id
        self.input_ids = torch.tensor([*inputs.image_tokens(STAND_IN_SIDE, STAND_IN_SIDE), end])

    def added_to(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a call's arguments with this as the last row, its end scored as a completion.

        Rows shorter than this one are filled up behind, where no token sees it.

        Args:
            arguments: `input_ids`, `attention_mask` and `labels`, (B, L), and others.
        """
        given: Tensor = arguments["input_ids"]
        length = max(given.shape[1], len(self.input_ids))
        own = self.input_ids.to(given.device)
        labels = torch.full_like(own, -100)
        labels[-1] = own[-1]
        rows = {
            "input_ids": (own, int(own[-1])),
            "attention_mask": (torch.ones_like(own), 0),
            "labels": (labels, -100),
            **{name: (row, 0) for name, row in self.inputs.token_types(own).items()},
        }
        joined = dict(arguments)
        for name, (row, filler) in rows.items():
            if (values := arguments.get(name)) is not None:
                row = row.to(values.dtype)[None]
                both = [pad(one, (0, length - one.shape[1]), value=filler) for one in (values, row)]
                joined[name] = torch.cat(both)
        if self.as_number:
            numbers = [NO_IMAGES] * len(given) + [STAND_IN]
            return joined | {"pixel_values": torch.tensor(numbers, device=given.device)}
        return joined | {name: value.to(given.device) for name, value in self.pixels.items()}
