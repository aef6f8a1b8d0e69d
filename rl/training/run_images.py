"""Images of a run's prompts, from the number of their row to the arguments of TRL's forward pass.

A row of a batch knows of its images only the row of the training set they are those of
(`image_row`). Whatever happens to it, cutting up, other ranks, checkpoints, takes no more than that
number along; pixels are made for the rows of one forward pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rl.data.chat_parts import NO_IMAGES
from rl.data.image_inputs import ImageInputs, Pixels, join_pixels, read_prompt
from rl.data.images import PromptImage, read_image
from rl.data.prompts import Prompt
from rl.data.row_images import RowImages

# Number of a row that no training set has, whose image is the one below.
STAND_IN = 1 << 30
STAND_IN_SIDE = 32  # pixels; processors make of it what they make of any image


@cache
def stand_in_image() -> PromptImage:
    """Return a small black image, for what has none (`rl.training.stand_in_image`)."""
    size = (STAND_IN_SIDE, STAND_IN_SIDE)
    return read_image(Image.new("RGB", size), "the image that stands in")


@dataclass(frozen=True)
class RunImages:
    """What a run with a vision-language model needs for its prompts' images.

    Attributes:
        inputs: The model's processor.
        rows: The images of the training set; None where it has none.
    """

    inputs: ImageInputs
    rows: RowImages | None = None

    def of(self, example: Mapping[str, Any]) -> tuple[PromptImage, ...]:
        """Read the images of a prompt, given as its row of the training set."""
        return self.of_row(image_row(example))

    def of_row(self, row: int) -> tuple[PromptImage, ...]:
        """Read the images of a row of the training set; `NO_IMAGES` has none, `STAND_IN` one."""
        if row == STAND_IN:
            return (stand_in_image(),)
        return () if row == NO_IMAGES or self.rows is None else self.rows.of_row(row)

    def prompt_ids(self, prompt: Prompt, row: int, arguments: Any = None) -> list[int]:
        """Return the tokens of a prompt that has the images of a row, or `NO_IMAGES`.

        Args:
            prompt: Messages of parts where there are images.
            row: Of the training set.
            arguments: What the chat template is given beside the messages.
        """
        tokenizer = self.inputs.processor.tokenizer
        return read_prompt(prompt, self.of_row(row), tokenizer, self.inputs, arguments)

    def inputs_of(self, tensors: Mapping[str, Tensor], as_numbers: bool = False) -> dict[str, Any]:
        """Return what TRL's `_get_per_token_logps_and_entropies` takes of rows' images.

        Its conventions (TRL 1.16): `num_images` counts those of each row; pixels of all rows stand
        behind each other, and where there are several entries an image, `num_tiles` counts them.

        Args:
            tensors: Rows as in `rl.training.layout`, B of them.
            as_numbers: Whether the rows' `image_row` stands in the place of pixels, as models take
                it that share prompts (`rl.training.shared_images`).
        """
        prompt_ids, mask = tensors["prompt_ids"], tensors["completion_mask"]
        found: dict[str, Any] = {
            name: torch.cat([types, torch.zeros_like(mask, dtype=types.dtype)], dim=1)
            for name, types in self.inputs.token_types(prompt_ids).items()
        }
        if self.rows is None:
            return found
        numbers = tensors["image_row"].tolist()
        if as_numbers:
            is_any = any(number != NO_IMAGES for number in numbers)
            in_place = {"pixel_values": tensors["image_row"], "num_images": [1] * len(numbers)}
            return found | (in_place if is_any else {})
        images = [self.of_row(number) for number in numbers]
        pixels = [self.inputs.pixels(of_row) for of_row in images]
        joined = join_pixels(pixels)
        if not joined:
            return found
        found |= {name: value.to(prompt_ids.device) for name, value in joined.items()}
        found["num_images"] = list(map(len, images))
        num_entries = [len(of_row["pixel_values"]) if of_row else 0 for of_row in pixels]
        is_tiled = joined["pixel_values"].dim() == 4 and num_entries != found["num_images"]
        if "spatial_shapes" in joined or is_tiled:
            found["num_tiles"] = num_entries
        return found

    def pixels_of(self, rows: Iterable[int]) -> Pixels:
        """Return the pixels of rows of the training set behind each other, as a model takes them.

        Args:
            rows: Numbers, `NO_IMAGES` and `STAND_IN` among them.
        """
        return join_pixels([self.inputs.pixels(self.of_row(row)) for row in rows])


def image_row(example: Mapping[str, Any]) -> int:
    """Return the row of the training set that a prompt's images are those of; -1 without any."""
    return example["row"] if example.get("image_digests") else NO_IMAGES
