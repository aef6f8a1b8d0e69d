"""Images that were checked, behind each other in one file without a name; read when needed.

The file lies in the folder for temporary files (`TMPDIR`). It has no name once all processes of a
machine have opened it, so that nothing is left of it however they end; its pages are held in memory
once for all of them, and as long as there is room.
"""

import os
import tempfile
import weakref
from pathlib import Path
from typing import NamedTuple

from rl.data.images import PromptImage
from rl.errors import InputError


class ImagePlace(NamedTuple):
    """Where the file has an image, and what is known of it without reading it."""

    digest: str
    offset: int
    num_bytes: int
    width: int
    height: int


class ImageFile:
    """One process writes images, any number reads them.

    Args:
        path: Of the file that another process of this machine has made; None makes one.
        has_copies: Whether processes of other machines write one of the same content.
    """

    def __init__(self, path: Path | None = None, has_copies: bool = False) -> None:
        self.writes, self.has_copies = path is None, has_copies
        if path is None:
            self._number, name = tempfile.mkstemp(prefix="label_free_rl_images_")
            self.path = Path(name)
        else:
            self._number, self.path = os.open(path, os.O_RDONLY), path
        weakref.finalize(self, os.close, self._number)
        self._end = 0
        self._known: dict[str, ImagePlace] = {}

    @classmethod
    def without_name(cls) -> "ImageFile":
        """Make one for this process alone."""
        file = cls()
        file.remove_name()
        return file

    def remove_name(self) -> None:
        """Let the file be gone with the processes that have opened it."""
        self.path.unlink(missing_ok=True)

    def add(self, image: PromptImage) -> ImagePlace:
        """Write an image behind the others, if it is not there, and say where it is."""
        if image.digest not in self._known:
            size = len(image.data)
            place = ImagePlace(image.digest, self._end, size, image.width, image.height)
            self.keep(place, image.data)
        return self._known[image.digest]

    def keep(self, place: ImagePlace, data: bytes) -> None:
        """Write an image where another machine's file has it, if this process writes.

        Raises:
            InputError: If there is no room.
        """
        if not self.writes or place.digest in self._known:
            return
        try:
            written = 0
            while written < len(data):  # a call may write a part
                written += os.pwrite(self._number, data[written:], place.offset + written)
        except OSError as error:
            raise InputError(
                f"TMPDIR: got {self.path.parent} for the images of the data set, expected a folder "
                f"with room for them ({error.strerror}). Name another in the variable TMPDIR."
            ) from error
        self._known[place.digest] = place
        self._end = max(self._end, place.offset + len(data))

    def read(self, place: ImagePlace) -> PromptImage:
        """Return an image from its place."""
        data = os.pread(self._number, place.num_bytes, place.offset)
        return PromptImage(data, place.digest, place.width, place.height)
