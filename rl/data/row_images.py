"""Images of a data set's prompts: found in their rows, read once, then had by a row's number."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from datasets import Dataset
from PIL import Image
from tqdm import tqdm

from rl.data.image_file import ImageFile, ImagePlace
from rl.data.image_reading import ImageSource, Share, read_images
from rl.data.images import PromptImage, image_folders, is_link, read_image
from rl.data.tables import Table, has_half_surrogate, short_repr
from rl.errors import InputError, unknown_name

# Columns that are taken for images where none is named, as TRL does.
IMAGE_COLUMNS = ("images", "image")
_OWN_IMAGE = ("image", "url", "path")


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


class _Read(NamedTuple):
    """What came of a row: where its images are, or what was wrong.

    Attributes:
        new: Images that no earlier row had, where other machines wait for them.
    """

    row: int
    places: list[ImagePlace]
    new: list[tuple[ImagePlace, bytes]]
    error: str


def read_row_images(
    prompts: Dataset, allow_remote: bool = False, keep: Callable[[PromptImage], Any] = lambda x: x
) -> Iterator[tuple[int, list[Any], InputError | None]]:
    """Read the images of each row, in order; wordings of a problem have the same images.

    A file or a link is read once, however many rows have it.

    Args:
        prompts: Columns `row` and `images` (`stored`).
        allow_remote: Whether links are fetched.
        keep: Called with each image as it comes; what it returns is held until the end.

    Yields:
        A row, what was kept of its images, and why one of them cannot be read; then the others are
        of no use.
    """
    places = {row: place for place, row in reversed(list(enumerate(prompts["row"])))}
    rows = sorted(places, key=places.__getitem__)
    images: Any = prompts["images"]
    keys: dict[int, list[Any]] = {}  # of the images of each row, once it is reached
    order: list[Any] = []  # of different images

    def sources() -> Iterator[ImageSource]:
        for row in rows:
            of_row = images[places[row]]
            # Of the whole row at once: reading may stop within it for a while.
            keys[row] = [_key(row, number, image) for number, image in enumerate(of_row)]
            for number, (key, image) in enumerate(zip(keys[row], of_row, strict=True)):
                if key not in seen:
                    seen.add(key)
                    order.append(key)
                    value = {"bytes": image["bytes"], "path": image["path"]}
                    where = f"image {number} of row {row} (both from 0)"
                    yield ImageSource(value, where, image_folders(image["source"]), allow_remote)

    seen: set[Any] = set()
    kept: dict[Any, Any] = {}
    read = read_images(sources())
    for row in rows:
        while row not in keys or any(key not in kept for key in keys[row]):
            if (found := next(read, None)) is not None:
                kept[order[len(kept)]] = found if isinstance(found, InputError) else keep(found)
        of_row = [kept[key] for key in keys[row]]
        yield row, of_row, next((one for one in of_row if isinstance(one, InputError)), None)


def _key(row: int, number: int, image: Mapping[str, Any]) -> Any:
    """What tells an image from others before it is read."""
    if image["bytes"]:
        return row, number
    return image["path"] if is_link(image["path"]) else (image["source"], image["path"])


class RowImages:
    """The images of a data set by the number of a row, read from a file when they are asked for.

    `keep_readable` reads them once from wherever the rows have them. What a link leads to may be
    another image at the next time; and what has been decoded without harm once may be again.

    Args:
        prompts: Columns `row` and `images` (`stored`); wordings of a problem have the same images.
        allow_remote: Whether links are fetched.
    """

    sizes: dict[int, list[tuple[int, int]]]
    """Row -> widths and heights of its images, in pixels, once `keep_readable` has read them."""

    def __init__(self, prompts: Dataset, allow_remote: bool = False) -> None:
        self._rows_of = partial(read_row_images, prompts, allow_remote)
        self._of_rows: dict[int, list[ImagePlace]] = {}
        self._named: dict[str, ImagePlace] = {}
        self._file: ImageFile
        self.sizes = {}

    def of_row(self, row: int) -> tuple[PromptImage, ...]:
        """Read the images of a row that `keep_readable` kept."""
        return tuple(map(self._file.read, self._of_rows[row]))

    def find(self, digest: str) -> PromptImage:
        """Read an image that `keep_readable` kept, by its digest."""
        return self._file.read(self._named[digest])

    def keep_readable(
        self,
        prompts: Dataset,
        show_progress: bool = False,
        file: ImageFile | None = None,
        share: Share = iter,
    ) -> ReadableImages:
        """Read all images once, and leave out the prompts of those that cannot be read.

        Args:
            prompts: Those that this was made with.
            show_progress: Whether to show a bar.
            file: Where images are written; None makes one.
            share: Gives every rank what the main process's iterator yields, which alone reads.
        """
        self._file = file or ImageFile.without_name()
        rows = prompts["row"]
        errors: dict[int, str] = {}
        bar = tqdm(desc="images", total=len(set(rows)), disable=not show_progress)
        with bar:
            for found in share(self._written()):
                for place, data in found.new:
                    self._file.keep(place, data)
                if found.error:
                    errors[found.row] = found.error
                else:
                    self._of_rows[found.row] = found.places
                bar.update()
        self.sizes = {r: [(p.width, p.height) for p in own] for r, own in self._of_rows.items()}
        self._named = {place.digest: place for own in self._of_rows.values() for place in own}
        kept = [place for place, row in enumerate(rows) if row not in errors]
        readable = prompts.select(kept) if errors else prompts
        readable = readable.remove_columns("images")
        named = [[place.digest for place in self._of_rows[row]] for row in readable["row"]]
        readable = readable.add_column("image_digests", named)
        unreadable = [row for row in rows if row in errors]
        del self._rows_of  # and with it the rows' own bytes
        return ReadableImages(readable, unreadable, next(iter(errors.values()), ""))

    def _written(self) -> Iterator[_Read]:
        """Read each row and write its images into the file."""
        new: list[tuple[ImagePlace, bytes]] = []

        def keep(image: PromptImage) -> ImagePlace:
            place = self._file.add(image)
            if self._file.has_copies:
                new.append((place, image.data))
            return place

        for row, places, error in self._rows_of(keep):
            own = places if error is None else []
            yield _Read(row, own, new[:], "" if error is None else str(error))
            new.clear()
