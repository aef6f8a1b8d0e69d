"""The images of what was sampled, in a folder beside it: each once, bounded in size and number."""

import logging
import math
import re
from collections.abc import Iterable
from pathlib import Path

from rl.data.image_reading import ImageSource, read_images
from rl.data.images import PromptImage, suffix_of

FOLDER = "images"
MAX_IMAGES = 5_000
MAX_FOLDER_BYTES = 256 * 2**20
# A larger file is kept as a smaller copy, of this longest side in pixels.
MAX_FILE_BYTES = 2**20
COPY_SIDE = 1024

_NAME = re.compile(r"([0-9a-f]{16})\.(?:png|jpg|webp)")
_SUFFIXES = ("png", "jpg", "webp")
_logger = logging.getLogger(__name__)


class SavedImages:
    """Saves images as `images/<digest>.png` (or jpg, webp), whatever was saved there before.

    Args:
        folder: Of a run or an evaluation; `images` is made in it with the first image.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._is_full = False
        names = [path for path in self.folder.glob("*") if _NAME.fullmatch(path.name)]
        self._num_bytes = sum(path.stat().st_size for path in names)
        self._known = {path.stem for path in names}

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return those that `save` would save."""
        return [] if self._is_full else [name for name in digests if name not in self._known]

    def save(self, images: Iterable[PromptImage]) -> None:
        """Save those that are not there; once the folder is full, say so and leave them out."""
        for image in images:
            if image.digest in self._known or self._is_full:
                continue
            data = image.data
            if len(data) > MAX_FILE_BYTES:
                data = image.thumbnail(COPY_SIDE)
            self._num_bytes += len(data)
            self._is_full = len(self._known) >= MAX_IMAGES or self._num_bytes > MAX_FOLDER_BYTES
            if self._is_full:
                _logger.warning(
                    "%s: full with %d images; further ones are left out, their digests are kept.",
                    self.folder,
                    len(self._known),
                )
                continue
            self._write(image.digest, data)

    def _write(self, digest: str, data: bytes) -> None:
        path = self.folder / f"{digest}.{suffix_of(data)}"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Whole or not there after any kill; not synced, which would take long for thousands.
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        self._known.add(digest)


def saved_image(folder: Path, digest: str) -> PromptImage | None:
    """Read a saved image, checked as one of unknown origin but for the ratio of its sides.

    Args:
        folder: Of a run or an evaluation.
        digest: Of the image as it was sampled from; that of a smaller copy is another.

    Returns:
        None where it was left out, or cannot be read.
    """
    if not re.fullmatch("[0-9a-f]{16}", digest):
        return None
    for suffix in _SUFFIXES:
        name = f"{digest}.{suffix}"
        if (folder / FOLDER / name).is_file():
            source = ImageSource(name, name, folder / FOLDER, max_aspect_ratio=math.inf)
            [found] = read_images([source])
            return found if isinstance(found, PromptImage) else None
    return None
