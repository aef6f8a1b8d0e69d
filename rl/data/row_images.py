"""Images of a data set's prompts: found in their rows, kept as they came, read when needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

from datasets import Dataset
from PIL import Image
from tqdm import tqdm

from rl.data.images import PromptImage, image_folders, is_link, read_image
from rl.data.tables import Table, has_half_surrogate, short_repr
from rl.errors import InputError, unknown_name

# Columns that are taken for images where none is named, as TRL does.
IMAGE_COLUMNS = ("images", "image")
_OWN_IMAGE = ("image", "url", "path")
# Images of so many prompts are kept read: one generation batch's, mostly.
_NUM_KEPT = 256


def images_of_rows(
    table: Table, prompt_column: str, image_column: str | None = None
) -> list[list[Any]] | None:
    """Find the images of each row, in the order of their places in the prompt.

    Those in the prompt's own parts are taken from there, all others from the column in turn.

    Args:
        table: Columns of a source, as `load_table` returns them.
        prompt_column: Column with the prompts, not yet checked.
        image_column: Column with an image or a list of them; None: `images` or `image`, if there is
            one; an empty text: no column.

    Returns:
        For each row its images as the source has them; None where no row has any.

    Raises:
        InputError: If there is no such column, or a row has more or fewer images than places.
    """
    names = [name for name in IMAGE_COLUMNS if name in table and name != prompt_column]
    column = (names[0] if names else "") if image_column is None else image_column
    if column and column not in table:
        raise unknown_name("image_column", column, list(table))
    found = []
    for row, prompt in enumerate(table.get(prompt_column, ())):
        given = _as_list(table[column][row]) if column else []
        found.append(_in_places(prompt, given, f"row {row} (from 0)"))
    return found if any(found) else None


def _as_list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _in_places(prompt: Any, given: list[Any], where: str) -> list[Any]:
    places = [part for part in _parts(prompt) if part.get("type") == "image"]
    in_parts = [_own_image(part) for part in places]
    num_open = sum(image is None for image in in_parts)
    if num_open == len(given):
        rest = iter(given)
        return [next(rest) if image is None else image for image in in_parts]
    if places:
        raise InputError(
            f"images of {where}: got {len(given)} for {num_open} places in the messages, expected "
            'as many. Correct the row: each {"type": "image"} stands for one image.'
        )
    return given


def _own_image(part: Mapping[str, Any]) -> Any:
    """Return the image that a part has, under a name that transformers' chat templates know."""
    return next((part[name] for name in _OWN_IMAGE if part.get(name) is not None), None)


def _parts(prompt: Any) -> Iterator[Mapping[str, Any]]:
    for message in prompt if isinstance(prompt, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield part


def stored(images: Sequence[Any], dataset: str, where: str) -> list[dict[str, Any]]:
    """Bring a row's images into one form that a data set can hold, undecoded.

    Args:
        images: As `images_of_rows` returns them.
        dataset: The source, whose folder files are looked for in.
        where: The row, for messages.
    """
    found = []
    for image in images:
        if isinstance(image, Image.Image):
            image = read_image(image, where).data
        if isinstance(image, dict):
            data, path = image.get("bytes"), image.get("path")
        else:
            data, path = (image, None) if isinstance(image, bytes) else (None, image)
        if not (isinstance(data, bytes | None) and _is_path(path) and (data or path)):
            raise InputError(
                f"{where}: got {short_repr(image)}, expected an image: a path, bytes or a data: "
                "URL. Correct the row, or name another image_column."
            )
        # Empty in place of None, so that all data sets have columns of the same types.
        found.append({"bytes": data or b"", "path": path or "", "source": dataset})
    return found


def _is_path(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not has_half_surrogate(value))


class ReadableImages(NamedTuple):
    """Which prompts have images that can be read.

    Attributes:
        prompts: Those, with a further column `image_digests`, and without the images themselves.
        unreadable_rows: Positions in the source of the others, in order, once for each wording.
        first_error: What was wrong with the first of them.
    """

    prompts: Dataset
    unreadable_rows: list[int]
    first_error: str


class _Looked(NamedTuple):
    """What one rank found of a row's images: digests and sizes, or what was wrong."""

    digests: list[str]
    sizes: list[tuple[int, int]]
    error: str


class RowImages:
    """The images of a data set by the number of a row, read from it when they are asked for.

    What a link led to is kept in memory, encoded: it is fetched once, and may be gone or another
    one at the next time.

    Args:
        prompts: Columns `row` and `images` (`stored`); wordings of a problem have the same images.
        allow_remote: Whether links are fetched.
    """

    sizes: dict[int, list[tuple[int, int]]]
    """Row -> widths and heights of its images, in pixels, once `keep_readable` has read them."""

    def __init__(self, prompts: Dataset, allow_remote: bool = False) -> None:
        self.allow_remote = allow_remote
        self._images = prompts["images"]
        self._places = {row: place for place, row in enumerate(prompts["row"])}
        self.of_row = lru_cache(maxsize=_NUM_KEPT)(self._of_row)
        self.sizes = {}
        self._named: dict[str, tuple[int, int]] = {}
        self._fetched: dict[str, PromptImage] = {}

    def _of_row(self, row: int) -> tuple[PromptImage, ...]:
        """Read the images of a row.

        Raises:
            InputError: If one cannot be read.
        """
        return tuple(
            self._read(image, f"image {number} of row {row} (both from 0)")
            for number, image in enumerate(self._images[self._places[row]])
        )

    def _read(self, image: Mapping[str, Any], where: str) -> PromptImage:
        path = image["path"]
        if path in self._fetched and not image["bytes"]:
            return self._fetched[path]
        found = read_image(
            {"bytes": image["bytes"], "path": path},
            where,
            folder=image_folders(image["source"]),
            allow_remote=self.allow_remote,
        )
        if is_link(path) and not image["bytes"]:
            return self._fetched.setdefault(path, found)  # another thread may have been faster
        return found

    def _look(self, row: int) -> _Looked:
        try:
            images = self.of_row(row)
        except InputError as error:
            return _Looked([], [], str(error))
        return _Looked([i.digest for i in images], [(i.width, i.height) for i in images], "")

    def find(self, digest: str) -> PromptImage:
        """Read an image that `keep_readable` found, by its digest."""
        row, number = self._named[digest]
        return self.of_row(row)[number]

    def keep_readable(
        self,
        prompts: Dataset,
        show_progress: bool = False,
        gather: Callable[[list[Any]], list[Any]] = list,
    ) -> ReadableImages:
        """Read all images once, and leave out the prompts of those that cannot be read.

        Ranks keep the same prompts: those whose images every rank reads, and reads as the same.

        Args:
            prompts: Those that this was made with.
            show_progress: Whether to show a bar.
            gather: Puts the lists of all ranks behind each other, in the same order on each.
        """
        rows = prompts["row"]
        different = list(dict.fromkeys(rows))
        with ThreadPoolExecutor() as pool:  # images are decoded beside each other
            read = pool.map(self._look, different)
            bar = tqdm(read, "images", len(different), disable=not show_progress)
            looked = dict(zip(different, bar, strict=True))
        by_rank: list[dict[int, _Looked]] = gather([looked])
        errors = {row: error for row in different if (error := _error(row, by_rank))}
        readable_rows = [row for row in different if row not in errors]
        self.sizes = {row: looked[row].sizes for row in readable_rows}
        self._named = {
            digest: (row, number)
            for row in readable_rows
            for number, digest in enumerate(looked[row].digests)
        }
        kept = [place for place, row in enumerate(rows) if row not in errors]
        readable = prompts.select(kept) if errors else prompts
        readable = readable.remove_columns("images")
        named = [looked[row].digests for row in readable["row"]]
        readable = readable.add_column("image_digests", named)
        unreadable = [row for row in rows if row in errors]
        return ReadableImages(readable, unreadable, next(iter(errors.values()), ""))


def _error(row: int, by_rank: Sequence[Mapping[int, _Looked]]) -> str:
    """Say what is wrong with a row on some rank; "" if nothing is."""
    found = [of_rank[row] for of_rank in by_rank]
    if any(one.digests != found[0].digests for one in found) and not any(o.error for o in found):
        return (
            f"images of row {row} (from 0): got other images on one rank than on another, "
            "expected the same. Download them, or remove the row."
        )
    return next((one.error for one in found if one.error), "")
