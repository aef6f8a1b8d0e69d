"""Images of prompts: read from wherever a row has them, checked, and known by a digest."""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import datasets.config
import huggingface_hub.constants
from PIL import Image

from rl.data.image_checks import KEPT_FORMATS, MAX_ASPECT_RATIO, MAX_BYTES, checked_image
from rl.data.remote_images import fetch_image
from rl.data.tables import has_half_surrogate, short_repr
from rl.errors import InputError

_LONGEST_PATH = 4_096  # of Linux, in bytes; a longer text is no path and is not asked for


@dataclass(frozen=True)
class PromptImage:
    """An image that decodes, within the bounds of `rl.data.image_checks`.

    Whoever decodes it sees the same pixels: what leaves room for doubt (orientation, transparency,
    CMYK, frames, 16 bits) was settled, and the image encoded anew as PNG.

    Attributes:
        data: The encoded image: PNG, JPEG or WEBP.
        digest: First 16 hex digits of SHA-256 of `data`.
        width: In pixels, as it is looked at.
        height: Likewise.
    """

    data: bytes = field(repr=False)
    digest: str
    width: int
    height: int

    @classmethod
    def of_bytes(cls, data: bytes, width: int, height: int) -> "PromptImage":
        """Make one of what `rl.data.image_checks.checked_image` returned."""
        return cls(data, hashlib.sha256(data).hexdigest()[:16], width, height)

    @property
    def suffix(self) -> str:
        """What the name of its file ends with: png, jpg or webp."""
        return suffix_of(self.data)

    @property
    def data_url(self) -> str:
        """The image as a `data:` URL, as endpoints of OpenAI's protocol take it."""
        kind = {"jpg": "jpeg"}.get(self.suffix, self.suffix)
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"

    def decode(self) -> Image.Image:
        """Return the pixels, RGB and upright, and nothing but them."""
        with Image.open(BytesIO(self.data), formats=KEPT_FORMATS) as image:
            pixels = image.convert("RGB")
        pixels.info = {}  # comments and the like would be encoded with them
        return pixels

    def thumbnail(self, longest_side: int) -> bytes:
        """Return the image encoded anew, smaller where a side is longer than `longest_side` pixels.

        As PNG or as JPEG, whichever is the smaller: drawings and photographs differ. Nothing but
        pixels of the original is in it.
        """
        small = self.decode()
        small.thumbnail((longest_side, longest_side))
        as_png, as_jpeg = BytesIO(), BytesIO()
        small.save(as_png, "PNG", optimize=True)
        small.save(as_jpeg, "JPEG", quality=75, optimize=True)
        return min(as_png.getvalue(), as_jpeg.getvalue(), key=len)


def read_image(
    value: Any,
    where: str,
    *,
    folder: Path | Sequence[Path] | None = None,
    allow_remote: bool = False,
    max_aspect_ratio: float = MAX_ASPECT_RATIO,
) -> PromptImage:
    """Read one image, whatever way a row of a data set has it, and decode it in this process.

    Those of a data set of unknown origin are decoded in others (`rl.data.image_reading`).

    Args:
        value: The path of a file in `folder`; encoded bytes; `{"bytes": ..., "path": ...}`, as
            `datasets.Image` has it undecoded; a PIL image; a `data:` URL; or a link.
        where: The row and column, for the error.
        folder: Folder of the data set, or folders (`image_folders`), of which relative paths are
            those of the first: files outside, also by `..` or a symbolic link, are not read. None:
            no file is.
        allow_remote: Whether a link (http, https) is fetched. A data set may come from anybody, and
            so may its links.
        max_aspect_ratio: Most by which the longer side may exceed the shorter. A smaller copy of an
            image may exceed it: 400 x 2 becomes 256 x 1.

    Returns:
        The image, of which nothing but the first frame is taken where it is animated. A PNG, JPEG
        or WEBP that needs no change keeps its bytes.

    Raises:
        InputError: If there is no image that can be decoded, or it is beyond a bound.
    """
    if isinstance(value, Image.Image):
        source, name = value, "an image in memory"
    else:
        source, name = encoded_image(value, where, folder, allow_remote)
    data, width, height, _ = checked_image(source, name, where, max_aspect_ratio)
    return PromptImage.of_bytes(data, width, height)


def encoded_image(
    value: Any, where: str, folder: Path | Sequence[Path] | None, allow_remote: bool
) -> tuple[bytes, str]:
    """Return what is to be decoded, and what it is called in an error.

    Args:
        value: As for `read_image`, but no PIL image.
        where: As for `read_image`.
        folder: Likewise.
        allow_remote: Likewise.

    Raises:
        InputError: If there is nothing.
    """
    if isinstance(value, bytes | bytearray):
        return bytes(value), f"{len(value)} bytes"
    if isinstance(value, dict) and set(value) <= {"bytes", "path"}:
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes | bytearray) and data and isinstance(path, str | None):
            return bytes(data), short_repr(path) if path else f"{len(data)} bytes"
        value = value if data or not path else path
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value:
        raise InputError(
            f"{where}: got {short_repr(value)}, expected a path, bytes, a data: URL or an image. "
            "Correct the row."
        )
    if value[:5].lower() == "data:":
        return _from_data_url(value, where), short_repr(value)
    if is_link(value):
        return _from_link(value, where, allow_remote), short_repr(value)
    return _from_file(value, where, folder), short_repr(value)


def is_link(path: str) -> bool:
    """Tell whether a text is a link to be fetched, and no path."""
    return path[:8].lower().startswith(("http://", "https://"))


def suffix_of(data: bytes) -> str:
    """Return what the name of a PNG, JPEG or WEBP ends with, without the dot: png, jpg or webp."""
    return "jpg" if data[:2] == b"\xff\xd8" else "webp" if data[:4] == b"RIFF" else "png"


def image_folders(dataset: str) -> list[Path]:
    """Return the folders that files of a data set's images may lie in.

    That of a file, the folder itself, or, for a data set of the hub, the caches in which its files
    and what they hold are kept; beside these lie things of the user's, a token among them.
    """
    path = Path(dataset).expanduser()
    if path.is_file():
        return [path.parent]
    if path.is_dir():
        return [path]
    caches = (huggingface_hub.constants.HF_HUB_CACHE, datasets.config.HF_DATASETS_CACHE)
    return [Path(cache).expanduser() for cache in caches]


def _from_data_url(url: str, where: str) -> bytes:
    head, comma, body = url[5:].partition(",")
    if not comma or len(body) > 2 * MAX_BYTES:
        raise InputError(
            f"{where}: got {short_repr(url)} of {len(url)} characters, expected a data: URL with "
            f"an image of at most {MAX_BYTES // 2**20} MiB behind its comma. Correct the row."
        )
    try:
        is_base64 = head.lower().replace(" ", "").endswith(";base64")
        text = unquote_to_bytes(body)
        return base64.b64decode(text, validate=True) if is_base64 else text
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"{where}: got {short_repr(url)}, expected base64 behind the comma ({error}). Correct "
            "the row."
        ) from error


def _from_link(url: str, where: str, allow_remote: bool) -> bytes:
    if not allow_remote:
        raise InputError(
            f"{where}: got the link {short_repr(url)}, expected a file, because nothing is fetched "
            "from a link in a data set. Download the image, or set allow_remote_images."
        )
    return fetch_image(url, where)


def _from_file(text: str, where: str, folder: Path | Sequence[Path] | None) -> bytes:
    advice = "Correct the path."
    if folder is None:
        advice = "Give the image's bytes, or read a file in whose folder the images lie."
        raise _unreadable(text, where, "images without files", advice)
    folders = [folder] if isinstance(folder, Path) else folder
    root, *more = map(os.path.realpath, folders)
    if "\0" in text or has_half_surrogate(text) or len(os.fsencode(text)) > _LONGEST_PATH:
        raise _unreadable(text, where, "a path", advice)
    path = os.path.realpath(os.path.join(root, text))
    if not any(Path(path).is_relative_to(one) for one in (root, *more)):
        advice = "Move the image there; a symbolic link does not do."
        raise _unreadable(text, where, f"a path within the data set's folder {root}", advice)
    try:
        # A pipe would be waited for; a device has no end.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _unreadable(text, where, "a file", advice)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"a file in {root} that can be read ({error.strerror})"
        raise _unreadable(text, where, reason, advice) from error


def _unreadable(text: str, where: str, expected: str, advice: str) -> InputError:
    return InputError(f"{where}: got {short_repr(text)}, expected {expected}. {advice}")
