"""Many images of a data set: read beside each other, checked by workers, in bounded memory."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from rl.data.image_checks import MAX_ASPECT_RATIO
from rl.data.image_workers import ImageWorkers, UncheckedImage
from rl.data.images import PromptImage, encoded_image, read_image
from rl.errors import InputError

# Gives every rank what an iterator yields on the main process; `iter`: each process has its own.
Share = Callable[[Iterable[Any]], Iterable[Any]]

_WINDOW = 64  # images whose bytes are held at a time
_NUM_THREADS = 16  # of which most wait for links

_logger = logging.getLogger(__name__)
# One set of workers for all data sets of a program.
_WORKERS = ImageWorkers()


class ImageSource(NamedTuple):
    """Where an image is; the fields are the arguments of `rl.data.images.read_image`."""

    value: Any
    where: str
    folder: Path | list[Path] | None = None
    allow_remote: bool = False
    max_aspect_ratio: float = MAX_ASPECT_RATIO


def read_images(
    sources: Iterable[ImageSource], workers: ImageWorkers = _WORKERS
) -> Iterator[PromptImage | InputError]:
    """Read images as `rl.data.images.read_image` does, but decode them in workers.

    That some have several frames is said once.

    Args:
        sources: Where they are.
        workers: What decodes them.

    Yields:
        For each source, in order, its image, or why it cannot be read.
    """
    waiting, is_told = iter(sources), False
    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        while window := list(islice(waiting, _WINDOW)):
            encoded = list(threads.map(_encoded, window))
            unchecked = [one for one in encoded if isinstance(one, UncheckedImage)]
            answers = workers.check(unchecked)
            for one in encoded:
                if not isinstance(one, UncheckedImage):
                    yield one
                    continue
                found = next(answers)
                if isinstance(found, InputError):
                    yield found
                    continue
                if found.has_frames and not is_told:
                    is_told = True
                    message = "%s: %s has several frames or pages; of such images the first counts."
                    _logger.warning(message, one.where, one.name)
                yield PromptImage.of_bytes(found.data or one.data, found.width, found.height)


def close_workers() -> None:
    """End the processes that decode; reading further images starts others."""
    _WORKERS.close()


def _encoded(source: ImageSource) -> UncheckedImage | PromptImage | InputError:
    """Return an image's bytes; one that Pillow has opened already is read here."""
    try:
        if isinstance(source.value, Image.Image):
            ratio = source.max_aspect_ratio
            return read_image(source.value, source.where, max_aspect_ratio=ratio)
        value, where, folder, allow_remote, max_aspect_ratio = source
        data, name = encoded_image(value, where, folder, allow_remote)
        return UncheckedImage(data, name, where, max_aspect_ratio)
    except InputError as error:
        return error
