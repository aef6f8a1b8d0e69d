"""Images of rows that share their prompts: each goes through the vision tower once a forward pass.

TRL hands a model what belongs to each row. In the place of pixels that is here the number of the
row's images (`image_row`), so that prompts of the same tokens and other images are told apart; of
these numbers a model makes pixels itself, for each images' tokens in the packed sequence, in their
order. Its own forward pass puts what the tower says in the place of these tokens, as in any row.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rl.data.image_inputs import TOKEN_TYPE_NAMES, Pixels
from rl.training.packed_rows import PackedRows, pack
from rl.training.run_images import RunImages

_ROWS = ("input_ids", "attention_mask", "labels")


class SharedImages:
    """Packs rows of a call with the images they have.

    Args:
        images: Those of the prompts; None for a model of text alone.
    """

    def __init__(self, images: RunImages | None = None) -> None:
        self.images = images

    def numbers(self, arguments: Mapping[str, Any]) -> Tensor | None:
        """Return the numbers of rows' images, (B,); None where there are none, or pixels."""
        given = arguments.get("pixel_values")
        return None if given is None or given.is_floating_point() else given

    def asked(self, arguments: Mapping[str, Any]) -> set[str]:
        """Name what a call has beside its rows and the numbers of their images."""
        of_rows = {*_ROWS, *TOKEN_TYPE_NAMES}
        return arguments.keys() - of_rows - self._in_place_of_pixels(arguments)

    def _in_place_of_pixels(self, arguments: Mapping[str, Any]) -> set[str]:
        return set() if self.numbers(arguments) is None else {"pixel_values"}

    def whole(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the pixels of all rows in the place of their numbers."""
        numbers = self.numbers(arguments)
        return {**arguments, **({} if numbers is None else self._pixels(numbers))}

    def _pixels(self, numbers: Tensor) -> Pixels:
        assert self.images is not None
        found = self.images.pixels_of(numbers.tolist())
        return {name: value.to(numbers.device) for name, value in found.items()}

    def pack(self, arguments: Mapping[str, Any]) -> PackedRows | None:
        """Pack the rows of a call; None where they are better run as they are.

        Rows with images are not left out where the others have none: ranks that share their layers
        know the numbers too, and take it that the tower is run.
        """
        numbers = self.numbers(arguments)
        ids, mask, labels = (arguments[name] for name in _ROWS)
        if self.images is None or numbers is None:
            return pack(ids, mask, labels)
        packed = pack(ids, mask, labels, numbers, self.images.inputs.image_token_ids)
        return packed if packed is None or packed.image_rows else None

    def of_packed(
        self, packed: PackedRows, backbone: Any, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the positions of packed tokens, and the pixels of their images.

        Positions of more than one dimension, as multimodal rotary embeddings have them (Qwen2-VL,
        arXiv 2409.12191, section 2.1), are those that the model gives to the rows, token by token.

        Args:
            packed: The rows.
            backbone: The model without its output head.
            arguments: What the rows were called with.
        """
        numbers = self.numbers(arguments)
        if numbers is None:
            return {"position_ids": packed.position_ids[None]}
        pixels = self._pixels(torch.tensor(packed.image_rows, device=numbers.device))
        positions = packed.position_ids[None]
        if "image_grid_thw" in pixels and hasattr(backbone, "get_rope_index"):
            rows, _ = backbone.get_rope_index(
                input_ids=arguments["input_ids"],
                attention_mask=arguments["attention_mask"],
                mm_token_type_ids=arguments["mm_token_type_ids"],
                image_grid_thw=self._grids(numbers),
            )
            positions = rows.flatten(1)[:, packed.sources][:, None]
        return {"position_ids": positions, **pixels}

    def _grids(self, numbers: Tensor) -> Tensor:
        """Patches of the images of all rows, (I, 3)."""
        found = {n: self._pixels(numbers.new_tensor([n])) for n in set(numbers.tolist())}
        of_rows = [found[n]["image_grid_thw"] for n in numbers.tolist() if found[n]]
        return torch.cat(of_rows)
