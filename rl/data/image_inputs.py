"""What a vision-language model reads of prompts with images: token ids and pixels."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from rl.data.chat_parts import text_of
from rl.data.images import PromptImage
from rl.data.prompt_rows import Prompt
from rl.data.prompts import render_prompt, tokenize_prompt
from rl.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

Pixels = dict[str, Tensor]
# What image processors call what the update can hand to a model (TRL 1.16).
PIXEL_NAMES = {
    *("pixel_values", "pixel_attention_mask", "image_grid_thw", "image_sizes"),
    *("spatial_shapes", "image_position_ids"),
}
TOKEN_TYPE_NAMES = ("token_type_ids", "mm_token_type_ids")
# Bytes of pixels that are kept for the next time an image is asked for.
KEPT_BYTES = 1 << 28


class ImageInputs:
    """A model's processor, asked for one prompt at a time.

    Pixels are made when they are needed and kept for a while: the same images come once for each
    call of an engine and once for each micro-batch that holds rows of their prompt.

    Args:
        processor: The model's.

    Raises:
        InputError: If its images become tensors that the update does not know.
    """

    def __init__(self, processor: "ProcessorMixin") -> None:
        self.processor: Any = processor
        names = {*self.processor.image_processor.model_input_names}
        if "pixel_values" not in names or not names <= PIXEL_NAMES:
            raise InputError(
                f"model: got a processor whose images become {', '.join(sorted(names))}, expected "
                f"some of {', '.join(sorted(PIXEL_NAMES))}. Choose another vision-language model."
            )
        self.placeholder = getattr(processor, "boi_token", None) or self.processor.image_token
        # Once, because no tokenizer is asked from several threads, as server engines work.
        tokenizer = self.processor.tokenizer
        [self.placeholder_id] = tokenizer(self.placeholder, add_special_tokens=False)["input_ids"]
        known = {*self.processor.model_input_names}
        self.token_type_names = [name for name in TOKEN_TYPE_NAMES if name in known]
        self.image_tokens = lru_cache(maxsize=1 << 16)(self._image_tokens)
        self._kept: OrderedDict[tuple[str, ...], Pixels] = OrderedDict()
        self._kept_bytes = 0

    def prompt_ids(self, rendered: str, images: Sequence[PromptImage]) -> list[int]:
        """Return a rendered chat's tokens, the place of each image filled with its image tokens."""
        if not images:
            return self.processor.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return self._read(rendered, [image.decode() for image in images])

    def num_tokens(self, num_tokens: int, sizes: Iterable[tuple[int, int]]) -> int:
        """Count the tokens of a prompt with its images.

        Args:
            num_tokens: Of its text, in which each image has one token.
            sizes: Widths and heights of the prompt's images, in pixels.
        """
        return num_tokens + sum(len(self.image_tokens(*size)) - 1 for size in sizes)

    def with_placeholders(
        self, prompt_ids: Sequence[int], images: Sequence[PromptImage]
    ) -> list[int]:
        """Put one token in the place of each image's, as an engine that fills them in wants it.

        Raises:
            ValueError: If the tokens of an image are not there.
        """
        ids, start = list(prompt_ids), 0
        for image in images:
            tokens = self.image_tokens(image.width, image.height)
            size = len(tokens)
            places = (i for i in range(start, len(ids) - size + 1) if ids[i] == tokens[0])
            place = next((i for i in places if ids[i : i + size] == tokens), None)
            if place is None:
                raise ValueError(f"prompt {prompt_ids}: expected the image's tokens {tokens} in it")
            ids[place : place + size] = [self.placeholder_id]
            start = place + 1
        return ids

    def _image_tokens(self, width: int, height: int) -> list[int]:
        """Return the tokens of an image; they are special ones, which no text beside changes."""
        return self._read(self.placeholder, [Image.new("RGB", (width, height))])

    def _read(self, text: str, images: list[Image.Image]) -> list[int]:
        read = self.processor(text=[text], images=[images], add_special_tokens=False)
        return list(read["input_ids"][0])

    def pixels(self, images: Sequence[PromptImage]) -> Pixels:
        """Return what the image processor makes of one prompt's images; nothing of none.

        Tensors on the CPU, some of them with one entry for each image, tile or patch.
        """
        if not images:
            return {}
        key = tuple(image.digest for image in images)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        decoded = [image.decode() for image in images]
        made = self.processor.image_processor(images=[decoded], return_tensors="pt")
        pixels = {name: value for name, value in made.items() if name in PIXEL_NAMES}
        self._kept[key] = pixels
        self._kept_bytes += _num_bytes(pixels)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _num_bytes(self._kept.popitem(last=False)[1])
        return pixels

    def token_types(self, prompt_ids: Tensor) -> Pixels:
        """Say for models that ask for it which tokens are an image's: 1, others 0, (B, L)."""
        ids = torch.tensor(self.image_token_ids, device=prompt_ids.device)
        return dict.fromkeys(self.token_type_names, torch.isin(prompt_ids, ids).long())

    @property
    def image_token_ids(self) -> list[int]:
        """The tokens that stand for an image."""
        return [number for number in self.processor.image_token_ids if number is not None]


def read_prompt(
    prompt: Prompt,
    images: Sequence[PromptImage],
    tokenizer: "PreTrainedTokenizerBase",
    inputs: ImageInputs | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the tokens a model reads of a prompt, each image as many as it has.

    Args:
        prompt: Text or chat messages.
        images: Of its places, in order.
        tokenizer: The policy's.
        inputs: Reads images; without it there must be none.
        template_arguments: As for `render_prompt`.
    """
    if not images:
        return tokenize_prompt(prompt, tokenizer, template_arguments)
    assert inputs is not None, "a model of text alone is refused before its prompts are read"
    return inputs.prompt_ids(render_prompt(prompt, tokenizer, template_arguments), images)


def prompt_length(
    prompt: Prompt,
    images: Sequence[PromptImage],
    tokenizer: "PreTrainedTokenizerBase",
    image_inputs: "ImageInputs | None",
) -> int:
    """Count a prompt's tokens, those of its images among them, without looking at pixels."""
    num_tokens = len(tokenize_prompt(prompt, tokenizer))
    sizes = ((image.width, image.height) for image in images)
    return image_inputs.num_tokens(num_tokens, sizes) if image_inputs else num_tokens


def check_no_placeholder(prompt: Prompt, placeholder: str, where: str) -> None:
    """Check that a prompt's text does not spell out the token that stands for an image.

    Raises:
        InputError: If it does: the model would look for pixels that are not there.
    """
    contents = [prompt] if isinstance(prompt, str) else [one["content"] for one in prompt]
    if any(placeholder in text_of(content) for content in contents):
        raise InputError(
            f"prompt in {where}: got {placeholder} in its text, which stands for an image, "
            "expected <image> once for each image of the row, or not at all. Correct the row."
        )


def join_pixels(prompts: Sequence[Mapping[str, Tensor]]) -> Pixels:
    """Put the pixels of several prompts behind each other, as one call of a model takes them.

    What is smaller in a further dimension, as prompts with fewer images are in Idefics3's second,
    is filled up with zeros there, which the models' own processors do too.

    Args:
        prompts: As `ImageInputs.pixels` returns them; those without images add nothing.
    """
    prompts = [pixels for pixels in prompts if pixels]
    joined = {}
    for name in prompts[0] if prompts else ():
        values = [pixels[name] for pixels in prompts]
        sizes = torch.tensor([value.shape[1:] for value in values]).amax(dim=0).tolist()
        joined[name] = torch.cat([_filled_up(value, sizes) for value in values])
    return joined


def _filled_up(value: Tensor, sizes: Sequence[int]) -> Tensor:
    missing = [(0, size - own) for size, own in zip(sizes, value.shape[1:], strict=True)]
    return pad(value, [n for pair in reversed(missing) for n in pair]) if any(missing) else value


def _num_bytes(pixels: Pixels) -> int:
    return sum(value.numel() * value.element_size() for value in pixels.values())
