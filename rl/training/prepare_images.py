"""What a run's prompts have of images, checked before a model is loaded."""

import logging
from dataclasses import replace
from typing import Any, NamedTuple

from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from rl.data.image_inputs import check_no_placeholder
from rl.data.model_files import load_image_inputs, takes_images
from rl.data.prompt_lengths import PromptFacts
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.rollouts.engines import check_takes_images, engine_class
from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages
from rl.training.sharding import sharding_of

_logger = logging.getLogger(__name__)

# Of settings, what reads prompts in a way of its own, as text.
_READS_TEXT = {"loss_terms": "self_distillation", "curriculum": "hidden_states"}


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
        InputError: If a model or an engine of text alone would get images, none can be read, a
            prompt's text spells out the token that stands for one, or ranks that wait for each
            other in the vision tower would have prompts without images beside those with some.
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
    for row, prompt in zip(prompts["row"], prompts["prompt"], strict=True):
        check_no_placeholder(prompt, inputs.placeholder, f"row {row} (from 0)")
    if not has_images:
        return PreparedImages(prompts, RunImages(inputs), [])
    engine = engine_class(config.engine_name, "for_run", "engine")
    check_takes_images(engine, config.engine_name, "engine")
    for setting, name in _READS_TEXT.items():
        if name in getattr(config, setting):
            raise InputError(
                f"{setting}: got {name}, which reads text alone, for prompts with images, expected "
                "another one. Leave it out, or set image_column to an empty text."
            )
    is_main = PartialState().is_main_process
    rows = RowImages(prompts, config.allow_remote_images)
    show_progress = is_main and not config.disable_tqdm
    found = rows.keep_readable(prompts, show_progress, gather_object)
    if found.unreadable_rows:
        counts = f"{len(found.unreadable_rows)} of {len(prompts)} prompts"
        if not len(found.prompts):
            raise InputError(
                f"dataset: got {counts} with images that cannot be read, expected some with "
                f"readable ones. Mend them. The first: {found.first_error}"
            )
        if is_main:
            message = "%s: %s dropped, whose images cannot be read. The first: %s"
            _logger.warning(message, config.dataset, counts, found.first_error)
    digests = found.prompts["image_digests"]
    check_all_or_none(config, len(digests), sum(map(bool, digests)), PartialState().num_processes)
    return PreparedImages(found.prompts, RunImages(inputs, rows), found.unreadable_rows)


def check_all_or_none(
    config: LabelFreeConfig, num_prompts: int, num_with_images: int, num_ranks: int
) -> None:
    """Check that ranks run the same layers where they wait for each other in every one.

    A forward pass without images never calls the vision tower. Ranks whose passes differ in that
    would wait for ever under ZeRO-3 and FSDP, which gather a layer's weights from all ranks, and
    under DDP where the tower is trained, whose gradients all ranks are to have.

    Args:
        config: Settings of the run.
        num_prompts: Prompts of the run.
        num_with_images: Of these, those with images.
        num_ranks: Ranks of the run.

    Raises:
        InputError: If only some prompts have images, and ranks would wait.
    """
    why = sharding_of(config) or ("" if config.freeze_vision_tower else "a trained vision tower")
    if num_ranks > 1 and why and 0 < num_with_images < num_prompts:
        raise InputError(
            f"dataset: got images in {num_with_images} of {num_prompts} prompts with {why} on "
            f"{num_ranks} ranks, expected them in all or in none. Train the two apart, or launch "
            "with DDP or ZeRO-2 and freeze_vision_tower: true."
        )


def with_unreadable(facts: PromptFacts, rows: list[int]) -> PromptFacts:
    """Count prompts that were left out before the others were counted."""
    return replace(facts, num_in_source=facts.num_in_source + len(rows), unreadable_rows=rows)
