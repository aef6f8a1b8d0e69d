"""Check an image of unknown origin and settle what its pixels are: one frame, upright, RGB.

The size that its header claims is checked before anything is decoded, and every step costs a time
and a memory that the bounds here limit. Pillow does the reading; of its plug-ins the six named here
are asked, whatever the file is called.
"""

import re
import struct
import warnings
import zlib
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from rl.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
KEPT_FORMATS = ("PNG", "JPEG", "WEBP")  # what a file may stay; anything else becomes PNG
MAX_BYTES = 32 * 2**20  # of the encoded image
MAX_PIXELS = 40_000_000  # 120 MB as RGB; cameras of telephones make 12 to 50 million
MAX_ASPECT_RATIO = 200  # Qwen's processors refuse more (transformers, `smart_resize`)
MAX_SCANS = 100  # of a JPEG; each passes over all pixels, and costs a few bytes. Usual are 1 to 12.

# What Pillow raises on bytes that are no image after all; its plug-ins have no error of their own.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, OverflowError)
_UNREADABLE += (LookupError, TypeError, AttributeError, ZeroDivisionError, NotImplementedError)
_ORIENTATION = 0x0112  # EXIF
_KINDS = {b"\x89PNG": "a PNG", b"\xff\xd8": "a JPEG", b"RIFF": "a WEBP", b"GIF8": "a GIF"}
_KINDS |= {b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"%PDF": "a PDF"}
_KINDS |= {b"<svg": "an SVG", b"<?xml": "XML or SVG", b"<!DOCTYPE": "HTML", b"<html": "HTML"}
_KINDS |= {b"version https://git-lfs": "a pointer of git LFS"}


class CheckedImage(NamedTuple):
    """An image that decodes, within the bounds.

    Attributes:
        data: Its bytes: those given where every reader would see the same pixels in them, or else
            a PNG.
        width: In pixels, as it is looked at.
        height: Likewise.
        has_frames: Whether it had several frames or pages, of which the first was taken.
    """

    data: bytes
    width: int
    height: int
    has_frames: bool


def checked_image(
    source: bytes | Image.Image,
    name: str,
    where: str,
    max_aspect_ratio: float = MAX_ASPECT_RATIO,
) -> CheckedImage:
    """Decode an image within bounds, in this process (`rl.data.image_workers` does it in others).

    Transparent pixels are laid on white, CMYK becomes RGB without a colour profile, of 16 bits a
    channel the upper eight are taken, EXIF's orientation is applied, of several frames or pages the
    first is taken.

    Args:
        source: The encoded image, or one that Pillow opened.
        name: What the image is called in an error.
        where: The row and column, for the error.
        max_aspect_ratio: Most by which the longer side may exceed the shorter.

    Raises:
        InputError: If it is none of `FORMATS`, is damaged, or breaks a bound.
    """
    if isinstance(source, bytes):
        _check_bytes(source, name, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what it mends, and of bombs
            image = source if isinstance(source, Image.Image) else _opened(source)
            _check_size(*image.size, max_aspect_ratio, name, where)
            image.load()
            settled = _settled(image)
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own bound, which is higher
        raise _too_large(f"{where}: got {name} ({error})") from error
    except MemoryError as error:
        raise InputError(
            f"{where}: got {name}, which takes too much memory to decode, expected a whole image. "
            "Replace it."
        ) from error
    except _UNREADABLE as error:
        reason = " ".join(re.sub("<.*?>", "", str(error)).split())[:120]  # names no object
        raise InputError(
            f"{where}: got {name}, {_kind(source)}, expected a whole image, one of "
            f"{', '.join(FORMATS)} ({reason}). Replace it."
        ) from error
    has_frames = getattr(image, "is_animated", False)
    if settled is image and isinstance(source, bytes):
        return CheckedImage(source, image.width, image.height, has_frames)
    encoded = BytesIO()
    settled.save(encoded, "PNG")
    if encoded.tell() > MAX_BYTES:
        _check_bytes(encoded.getvalue(), f"{name} as PNG", where)
    return CheckedImage(encoded.getvalue(), settled.width, settled.height, has_frames)


def _check_bytes(data: bytes, name: str, where: str) -> None:
    if len(data) > MAX_BYTES:
        raise InputError(
            f"{where}: got {name} of more than {MAX_BYTES // 2**20} MiB, expected at most that. "
            "Make the image smaller."
        )
    # Within compressed pixels 0xFF is never followed by 0xDA, the marker of a scan.
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise InputError(
            f"{where}: got {name}, a JPEG of more than {MAX_SCANS} scans, expected at most that. "
            "Encode it anew."
        )


def _opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=FORMATS)


def _check_size(width: int, height: int, max_ratio: float, name: str, where: str) -> None:
    size = f"{where}: got {name} of {width} x {height} pixels"
    if width * height == 0:
        raise InputError(f"{size}, expected at least one. Replace it.")
    if width * height > MAX_PIXELS:
        raise _too_large(size)
    if max(width, height) > max_ratio * min(width, height):
        raise InputError(
            f"{size}, expected sides that differ by a factor of {max_ratio} at most. Cut it "
            "into pieces or remove it."
        )


def _too_large(what: str) -> InputError:
    return InputError(f"{what}, expected at most {MAX_PIXELS:,} pixels. Make the image smaller.")


def _settled(image: Image.Image) -> Image.Image:
    """Return the image itself where every reader sees the same in it, or else an RGB copy.

    Raises:
        ValueError: If its pixels have no range that could be mapped to eight bits.
    """
    is_plain = image.mode in ("RGB", "L") and not image.has_transparency_data
    is_upright = image.getexif().get(_ORIENTATION, 1) == 1
    has_frames = getattr(image, "is_animated", False)
    if is_plain and is_upright and not has_frames and image.format in KEPT_FORMATS:
        return image
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits, and no known range")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    copy = upright.convert("RGB")
    copy.info = {}  # nothing but pixels is encoded
    return copy


def _kind(source: bytes | Image.Image) -> str:
    if isinstance(source, Image.Image):
        return f"{source.format or source.mode}"
    if not source:
        return "an empty file"
    if source[4:8] == b"ftyp":
        return "an AVIF, HEIC or video"
    start = source[:200].lstrip()
    found = (kind for signature, kind in _KINDS.items() if start.startswith(signature))
    # The bytes themselves are not shown: the file may be anything, and logs are passed on.
    return next(found, f"{len(source)} bytes of no kind that is known")
