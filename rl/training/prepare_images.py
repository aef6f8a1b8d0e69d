"""What a run's prompts have of images, checked before a model is loaded."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rl.data.image_file import ImageFile
from rl.data.image_inputs import check_no_placeholder
from rl.data.image_reading import close_workers
from rl.data.model_files import load_image_inputs, takes_images
from rl.data.prompt_lengths import PromptFacts
from rl.data.row_images import ReadableImages, RowImages
from rl.errors import InputError
from rl.processes import each_from_main_process
from rl.rollouts.engines import check_takes_images, engine_class
from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages
from rl.training.stand_in_image import check_router_loss

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
    model: PreTrainedModel | None = None,
    **source: Any,
) -> PreparedImages:
    """Read every image once, and leave out the prompts of those that cannot be read.

    The main process reads, fetches and checks them; every rank gets the same images and drops.

    Args:
        config: Settings of the run.
        prompts: As `rl.data.prompts.load_prompts` returns them.
        model_config: Of the model.
        tokenizer: Of the model.
        model: As `rl.training.model_init.check_model` returns it.
        source: `revision` and `trust_remote_code` of `from_pretrained`.

    Raises:
        InputError: If a model or an engine of text alone would get images, none can be read, a
            prompt's text spells out an image's token, or a router's loss would see a stand-in.
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
    found, rows = _read_images(config, prompts)
    models = [] if model is None else [model]
    check_router_loss(config, model_config, rows, PartialState().num_processes, models)
    return PreparedImages(found.prompts, RunImages(inputs, rows), found.unreadable_rows)


def with_unreadable(facts: PromptFacts, rows: list[int]) -> PromptFacts:
    """Count prompts that were left out before the others were counted."""
    return replace(facts, num_in_source=facts.num_in_source + len(rows), unreadable_rows=rows)


def _read_images(config: LabelFreeConfig, prompts: Dataset) -> tuple[ReadableImages, RowImages]:
    """Read all images; of prompts that are left out say how many and why, once.

    Raises:
        InputError: If none are left.
    """
    is_main = PartialState().is_main_process
    show_progress = is_main and not config.disable_tqdm
    rows = RowImages(prompts, config.allow_remote_images)
    found = rows.keep_readable(prompts, show_progress, open_image_file(), each_from_main_process)
    close_workers()
    counts = f"{len(found.unreadable_rows)} of {len(prompts)} prompts"
    if not len(found.prompts):
        raise InputError(
            f"dataset: got {counts} with images that cannot be read, expected some with "
            f"readable ones. Mend them. The first: {found.first_error}"
        )
    if found.unreadable_rows and is_main:
        message = "%s: %s dropped, whose images cannot be read. The first: %s"
        _logger.warning(message, config.dataset, counts, found.first_error)
    return found, rows


def open_image_file() -> ImageFile:
    """Open one file of images for all ranks of a machine; the first of them writes it."""
    state = PartialState()
    is_first = state.local_process_index == 0
    first_ranks = gather_object([is_first])
    file = ImageFile(has_copies=sum(first_ranks) > 1) if is_first else None
    paths: list[Path | None] = gather_object([file and file.path])
    here = (path for path in paths if path is not None and path.exists())
    file = file or ImageFile(next(here))
    state.wait_for_everyone()
    if file.writes:
        file.remove_name()
    return file
