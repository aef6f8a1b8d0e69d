"""The images of labelled problems: all read, or the evaluation is refused, which drops none."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from tqdm import tqdm

from rl.data.image_reading import ImageSource, Share, close_workers, read_images
from rl.data.images import PromptImage, image_folders
from rl.data.row_images import images_of_rows, read_row_images
from rl.data.tables import Table
from rl.errors import InputError
from rl.evaluation.problems.rows import Layout

if TYPE_CHECKING:
    from rl.data.image_inputs import ImageInputs
    from rl.evaluation.problems.labelled import Problem


def read_problem_images(
    table: Table, layout: Layout, place: str, allow_remote: bool = False, share: Share = iter
) -> list[tuple[PromptImage, ...]] | None:
    """Read the images of every row; an image that comes several times is held once.

    Args:
        table: Columns of a source.
        layout: What they mean.
        place: The file or the hub id, in whose folder files are looked for.
        allow_remote: Whether links are fetched.
        share: Gives every rank what the main process alone reads.

    Returns:
        The images of each row, in the order of their places in the prompt; None where no row has
        any.

    Raises:
        InputError: If an image cannot be read, or a row has more or fewer images than places.
    """
    found = images_of_rows(table, layout.prompt_column, layout.image_column)
    if found is None:
        return None
    folder = image_folders(place)
    sources: dict[Any, ImageSource] = {}
    keys = []
    for row, values in enumerate(found):
        # A path or a link is read once, however many rows have it.
        of_row = [v if isinstance(v, str) else (row, number) for number, v in enumerate(values)]
        keys.append(of_row)
        for number, (key, value) in enumerate(zip(of_row, values, strict=True)):
            where = f"image {number} of row {row} (both from 0)"
            sources.setdefault(key, ImageSource(value, where, folder, allow_remote))
    read = share(_readable(read_images(sources.values())))
    bar = tqdm(read, "reading images", len(sources), unit="image", delay=2)
    known: dict[str, PromptImage] = {}
    images = [known.setdefault(image.digest, image) for image in bar]
    close_workers()
    of_keys = dict(zip(sources, images, strict=True))
    return [tuple(of_keys[key] for key in of_row) for of_row in keys]


def read_prompt_images(
    prompts: Dataset, allow_remote: bool = False, share: Share = iter
) -> dict[int, tuple[PromptImage, ...]] | None:
    """Read the images of prompts that `rl.data.prompts.load_prompts` returned.

    Args:
        prompts: Those.
        allow_remote: Whether links are fetched.
        share: Gives every rank what the main process alone reads.

    Returns:
        Row -> its images; None where no prompt has any.

    Raises:
        InputError: If one cannot be read.
    """
    if "images" not in prompts.column_names:
        return None
    rows = read_row_images(prompts, allow_remote)
    read = dict(share((row, tuple(_readable(images))) for row, images, _ in rows))
    close_workers()
    return read


def _readable(images: Iterable[PromptImage | InputError]) -> Iterator[PromptImage]:
    """Give what was read.

    Raises:
        InputError: At the first that could not be read.
    """
    for image in images:
        if isinstance(image, InputError):
            raise image
        yield image


def check_images_are_read(
    model: str, what: str, problems: "Iterable[Problem]", inputs: "ImageInputs | None"
) -> None:
    """Check that a model reads the images of problems, and that none is spelt out in their text.

    Args:
        model: Its folder or hub id.
        what: The setting that names it, for messages.
        problems: With images or without.
        inputs: Reads images; None for a model of text alone.

    Raises:
        InputError: If there are images for a model of text alone, or a text holds an image's token.
    """
    from rl.data.image_inputs import check_no_placeholder

    for problem in problems:
        if inputs is not None:
            check_no_placeholder(problem.prompt, inputs.placeholder, f"problem {problem.id!r}")
        elif problem.images:
            raise InputError(
                f"{what}: got {model}, which reads text alone, for problems with images, expected "
                "a vision-language model. Name one, or set image_column to an empty text."
            )
