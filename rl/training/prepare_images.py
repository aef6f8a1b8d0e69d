"""What a run's prompts have of images, checked before a model is loaded."""

import logging
from dataclasses import replace
from typing import Any, NamedTuple

from accelerate import PartialState
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from rl.data.chat_parts import text_of
from rl.data.model_files import load_image_inputs, takes_images
from rl.data.prompt_lengths import PromptFacts
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages

_logger = logging.getLogger(__name__)


class PreparedImages(NamedTuple):
    """The prompts of a run without their images, and where these are.

    Attributes:
        prompts: With a column `image_digests` where the data set has images.
        images: None for a model of text alone.
        unreadable_rows: Rows of the prompts that were left out.
    """

    prompts: Dataset
    images: RunImages | None
    unreadable_rows: list[int]


def prepare_images(
    config: LabelFreeConfig,
    prompts: Dataset,
    model_config: Any,
    tokenizer: PreTrainedTokenizerBase,
    **source: Any,
) -> PreparedImages:
    """Read every image once, and leave out the prompts of those that cannot be read.

    Args:
        config: Settings of the run.
        prompts: As `rl.data.prompts.load_prompts` returns them.
        model_config: Of the model.
        tokenizer: Of the model.
        source: `revision` and `trust_remote_code` of `from_pretrained`.

    Raises:
        InputError: If a model of text alone would get images, none can be read, or a prompt's text
            spells out the token that stands for one.
    """
    has_images = "images" in prompts.column_names
    if not takes_images(model_config):
        if has_images:
            raise InputError(
                f"model: got {config.model}, which reads text alone, for prompts with images, "
                "expected a vision-language model. Name one, or set image_column to an empty text."
            )
        return PreparedImages(prompts, None, [])
    inputs = load_image_inputs(config.model, "model", tokenizer, **source)
    check_no_placeholder(prompts, inputs.placeholder)
    if not has_images:
        return PreparedImages(prompts, RunImages(inputs), [])
    is_main = PartialState().is_main_process
    rows = RowImages(prompts, config.allow_remote_images)
    found = rows.keep_readable(prompts, show_progress=is_main and not config.disable_tqdm)
    if found.unreadable_rows:
        left = f"{len(found.unreadable_rows)} prompts dropped, whose images cannot be read"
        if not len(found.prompts):
            raise InputError(f"dataset: got none but {left}. The first: {found.first_error}")
        if is_main:
            _logger.warning("%s: %s; the first: %s", config.dataset, left, found.first_error)
    return PreparedImages(found.prompts, RunImages(inputs, rows), found.unreadable_rows)


def check_no_placeholder(prompts: Dataset, placeholder: str) -> None:
    """Check that no prompt's text spells out the token that stands for an image.

    Raises:
        InputError: If one does: the model would look for pixels that are not there.
    """
    for row, prompt in zip(prompts["row"], prompts["prompt"], strict=True):
        contents = [prompt] if isinstance(prompt, str) else [m["content"] for m in prompt]
        if any(placeholder in text_of(content) for content in contents):
            raise InputError(
                f"prompt in row {row} (from 0): got {placeholder} in its text, which stands for an "
                "image, expected images in a column or in parts of messages. Take it out."
            )


def with_unreadable(facts: PromptFacts, rows: list[int]) -> PromptFacts:
    """Count prompts that were left out before the others were counted."""
    return replace(facts, num_in_source=facts.num_in_source + len(rows), unreadable_rows=rows)
