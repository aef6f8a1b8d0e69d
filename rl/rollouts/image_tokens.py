"""Tokens that stand for an image: what a model is given for them, and that none is sampled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from rl.data.image_inputs import join_pixels
from rl.errors import InputError
from rl.rollouts.engine import Images

if TYPE_CHECKING:
    from rl.data.image_inputs import ImageInputs
    from rl.data.images import PromptImage


def image_token_ids(model_config: Any) -> list[int]:
    """Return the tokens in whose place a model puts pixels; none for a model of text alone.

    A completion must hold none: there are no pixels for it, so the update could not run it. TRL
    keeps them from being sampled too. Probabilities of a sampler are those of the other tokens.
    """
    names = ("image_token_id", "image_token_index", "video_token_id")
    found = [getattr(model_config, name, None) for name in names]
    return sorted({number for number in found if isinstance(number, int)})


def image_tensors(inputs: "ImageInputs | None", images: Images, prompt_ids: Tensor) -> Any:
    """Return what a model is given beside the tokens of some prompts.

    Args:
        inputs: The model's; None for a model of text alone.
        images: Of each prompt.
        prompt_ids: The prompts, (P, L).

    Raises:
        InputError: If there are images for a model of text alone.
    """
    images = images or ()
    if inputs is None:
        refuse_images(images, "a model of text alone")
        return {}
    tensors = join_pixels([inputs.pixels(of_prompt) for of_prompt in images])
    tensors |= inputs.token_types(prompt_ids)
    return {name: value.to(prompt_ids.device) for name, value in tensors.items()}


def with_placeholders(
    inputs: "ImageInputs | None", prompt_ids: list[int], images: "Sequence[PromptImage]"
) -> list[int]:
    """Put one token in the place of each image's, for an engine that puts the others in itself.

    Raises:
        InputError: If there are images for a model of text alone.
    """
    if inputs is None:
        refuse_images([images], "a model of text alone")
        return prompt_ids
    return inputs.with_placeholders(prompt_ids, images)


def refuse_images(images: Images, what: str) -> None:
    """Say in one line that what samples takes no images.

    Raises:
        InputError: If there are any.
    """
    if images and any(images):
        raise InputError(
            f"images: got prompts with some for {what}, expected text. Name a vision-language "
            "model and an engine that takes images, or set image_column to an empty text."
        )
