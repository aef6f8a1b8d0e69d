"""The images of prompts that a report shows: encoded anew, small, each once, as many as fit."""

import base64
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm

from rl.data.image_reading import close_workers
from rl.data.images import PromptImage, read_image, suffix_of
from rl.data.saved_images import FOLDER, saved_image
from rl.report.byte_budget import spread_order
from rl.report.folders import ReportedRun
from rl.report.shown_rollouts import ShownRollouts

# Of the bytes a page has for rollouts, those kept for images where a run has some.
IMAGES_SHARE = 0.35
# Longest sides in pixels: the first at which all images fit, or as many as fit at the last.
SIDES = (512, 256, 128)
MAX_THUMBNAILS = 2_000
# A `data:` URL with its width and height in pixels.
Thumbnail: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class Thumbnails:
    """Small copies of images, as a page holds them.

    Attributes:
        images: Digest of the image -> its copy.
        num_missing: Images that no run's folder has, or that cannot be read.
        num_left_out: Images there is no room for.
        side: Longest side of the copies, in pixels.
    """

    images: dict[str, Thumbnail] = field(default_factory=dict)
    num_missing: int = 0
    num_left_out: int = 0
    side: int = SIDES[0]

    @property
    def num_bytes(self) -> int:
        """What they take once compressed: base64 in gzip is a little more than what it says."""
        return sum(_cost(url) for url, _, _ in self.images.values())

    @property
    def note(self) -> str:
        """Sentences that say what is shown of images; "" if there are none."""
        if not (self.images or self.num_missing or self.num_left_out):
            return ""
        told = [f"Images are copies of at most {self.side} pixels a side."] if self.images else []
        if self.num_left_out:
            num_all = len(self.images) + self.num_left_out
            told.append(f"{len(self.images):,} of {num_all:,} have room here.")
        if self.num_missing:
            told.append(f"Not kept, or not readable: {self.num_missing:,}.")
        return " ".join(told)


def has_images(runs: Iterable[ReportedRun]) -> bool:
    """Tell whether a run has kept images."""
    return any((run.path / FOLDER).is_dir() for run in runs)


def make_thumbnails(
    runs: Sequence[ReportedRun],
    rollouts: Sequence[ShownRollouts],
    *,
    max_bytes: int,
    show_progress: bool = False,
) -> Thumbnails:
    """Encode the images of what is shown anew, each once.

    Args:
        runs: In whose folders images lie.
        rollouts: What is shown of each.
        max_bytes: What the copies may take once compressed.
        show_progress: Whether to show a bar.
    """
    wanted = _wanted(runs, rollouts)
    chosen = [wanted[i] for i in spread_order(len(wanted))[:MAX_THUMBNAILS]]
    copies: dict[str, bytes] = {}
    for digest, folders in tqdm(chosen, "images", disable=not show_progress or not chosen):
        found = (saved_image(folder, digest) for folder in folders)
        if image := next((one for one in found if one is not None), None):
            copies[digest] = image.thumbnail(SIDES[0])
    close_workers()
    side = SIDES[0]
    for side in SIDES:
        # From the copies there are: no original is decoded twice.
        copies = copies if side == SIDES[0] else {d: _smaller(c, side) for d, c in copies.items()}
        if sum(_cost(_data_url(copy)) for copy in copies.values()) <= max_bytes:
            break
    images: dict[str, Thumbnail] = {}
    for digest, copy in copies.items():
        thumbnail = _thumbnail(copy)
        if _cost(thumbnail[0]) <= max_bytes:
            max_bytes -= _cost(thumbnail[0])
            images[digest] = thumbnail
    num_tried = len(wanted) - len(chosen)
    return Thumbnails(
        images=images,
        num_missing=len(chosen) - len(copies),
        num_left_out=len(copies) - len(images) + num_tried,
        side=side,
    )


def _wanted(
    runs: Sequence[ReportedRun], rollouts: Sequence[ShownRollouts]
) -> list[tuple[str, list[Path]]]:
    """Return the digests of what is shown, in order, and the folders each may lie in."""
    found: dict[str, list[Path]] = {}
    for run, shown in zip(runs, rollouts, strict=True):
        for digest in _digests(shown):
            folders = found.setdefault(digest, [])
            if run.path not in folders:
                folders.append(run.path)
    return list(found.items())


def _digests(shown: ShownRollouts) -> Iterator[str]:
    for step in shown.steps:
        for group in step.groups:
            yield from group["images"]
    for problem in shown.problems:
        yield from problem.images


def _smaller(copy: bytes, side: int) -> bytes:
    return _read(copy).thumbnail(side)


def _thumbnail(copy: bytes) -> Thumbnail:
    image = _read(copy)
    return _data_url(copy), image.width, image.height


def _read(copy: bytes) -> PromptImage:
    return read_image(copy, "a thumbnail", max_aspect_ratio=math.inf)


def _data_url(copy: bytes) -> str:
    kind = {"jpg": "jpeg"}.get(suffix_of(copy), "png")
    return f"data:image/{kind};base64,{base64.b64encode(copy).decode()}"


def _cost(url: str) -> int:
    return len(url) * 4 // 5 + 60
