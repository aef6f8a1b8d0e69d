"""Tables of text read from a file, a folder or the hub: column name -> one value per row.

Files: JSON lines (.jsonl), a JSON list (.json) and CSV, each also gzipped (.gz), and parquet. A
folder or a hub id is whatever `datasets.load_dataset` finds there.
"""

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import pyarrow
import pyarrow.parquet
from datasets import Dataset, Image, load_dataset
from datasets.exceptions import DatasetsError

from rl.errors import InputError

# Column name -> one value per row.
Table: TypeAlias = Mapping[str, Sequence[Any]]

FILE_TYPES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".parquet")


def load_table(dataset: str, *, split: str = "train", config_name: str | None = None) -> Table:
    """Read every column of a file, a folder or a hub dataset.

    Args:
        dataset: A file (see `FILE_TYPES`), a folder or a hub id.
        split: Split of a hub dataset; a file has none.
        config_name: Configuration of a hub dataset.

    Returns:
        Column -> values, all of one length, at least one row. JSON rows that lack a column have
        None there. CSV values are text, as written in the file.

    Raises:
        InputError: If the source cannot be found or read, or has no rows.
    """
    path = Path(dataset).expanduser()
    if path.is_file():
        table = _read_file(path)
    elif path.is_dir() or _may_be_hub_id(dataset):
        table = _read_hub(dataset, split, config_name)
    else:
        raise InputError(
            f"dataset: got {dataset!r}, expected a file that exists. Check the path, or name a "
            "dataset of the hub as owner/name."
        )
    if not table or len(next(iter(table.values()))) == 0:
        raise InputError(f"dataset {dataset}: got no rows, expected at least one. Check the file.")
    return table


def _may_be_hub_id(dataset: str) -> bool:
    is_named_like_one = re.fullmatch(r"[\w.-]+/[\w.-]+|[\w-]+", dataset) is not None
    return is_named_like_one and not dataset.lower().endswith(FILE_TYPES)


def load_hub_dataset(
    hub_id: str,
    split: str,
    config_name: str | None,
    *,
    revision: str | None = None,
    advice: str = "give the path of its .jsonl, .json, .csv or .parquet file",
) -> Dataset:
    """Read a dataset of the hub, or a folder that looks like one.

    Args:
        hub_id: Its id, or the folder.
        split: Its split.
        config_name: Its configuration.
        revision: Its branch, tag or commit.
        advice: What to do once it was downloaded by other means.

    Raises:
        InputError: If it cannot be had, or has no such split or configuration.
    """
    try:
        return load_dataset(hub_id, config_name, split=split, revision=revision)
    except (ConnectionError, FileNotFoundError, DatasetsError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"dataset: got {hub_id!r}, expected a file, or a dataset the hub can deliver "
            f"({reason}). Check the name, the network and your access to it, or download it and "
            f"{advice}."
        ) from error
    except ValueError as error:  # An unknown split or configuration; the text lists the known ones.
        reason = " ".join(str(error).split())
        raise InputError(
            f"dataset {hub_id}: got split {split!r} and configuration {config_name!r}, expected "
            f"ones it has ({reason}). Name one of those."
        ) from error


def _read_hub(dataset: str, split: str, config_name: str | None) -> Table:
    return columns_of(load_hub_dataset(dataset, split, config_name))


def columns_of(rows: Dataset) -> Table:
    """Return the columns of what the library loaded, images as {"bytes": ..., "path": ...}.

    The library would decode an image of any size and format as soon as its row is looked at.
    """
    with_images = [name for name, kind in rows.features.items() if _holds_image(kind)]
    encoded = rows.select_columns(with_images).with_format("arrow")[:] if with_images else {}
    return {
        name: encoded[name].to_pylist() if name in with_images else rows[name]
        for name in rows.column_names
    }


def _holds_image(kind: Any) -> bool:
    if isinstance(kind, dict):
        return any(map(_holds_image, kind.values()))
    return isinstance(kind, Image) or (hasattr(kind, "feature") and _holds_image(kind.feature))


def _read_file(path: Path) -> Table:
    name = path.name.lower()
    kind = next((kind for kind in FILE_TYPES if name.endswith(kind)), None)
    if kind is None:
        raise InputError(
            f"dataset: got {path}, expected a file that ends in {', '.join(FILE_TYPES)}. "
            "Convert or rename it."
        )
    if kind == ".parquet":
        with _reading(path):
            return pyarrow.parquet.read_table(path).to_pydict()
    open_text = gzip.open if kind.endswith(".gz") else open
    with _reading(path), open_text(path, "rt", encoding="utf-8-sig", newline="") as lines:
        match kind.removesuffix(".gz"):
            case ".jsonl":
                rows = list(_json_lines(lines, path))
            case ".json":
                rows = _json_list(lines.read(), path)
            case _:
                return _csv_columns(lines, path)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, pyarrow.ArrowInvalid) as error:
        raise InputError(
            f"dataset: got {path}, expected a readable {''.join(path.suffixes)} file in UTF-8 "
            f"({error}). Check the file."
        ) from error


def _json_lines(lines: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _json_object(_parse_json(line, f"line {number}", path), f"line {number}", path)


def _json_list(text: str, path: Path) -> list[dict[str, Any]]:
    rows = _parse_json(text, "the file", path) if text.strip() else []
    if not isinstance(rows, list):
        raise InputError(
            f"dataset {path}: got a JSON {type(rows).__name__}, expected a list of objects. Write "
            "a list, or one object per line in a .jsonl file."
        )
    return [_json_object(row, f"row {number} (from 0)", path) for number, row in enumerate(rows)]


def _parse_json(text: str, where: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # an integer may have too many digits
        raise InputError(
            f"dataset {path}, {where}: got invalid JSON ({error}), expected one object per line in "
            "a .jsonl file and one list in a .json file. Correct it there."
        ) from error


def _json_object(value: Any, where: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            f"dataset {path}, {where}: got {short_repr(value)}, expected a JSON object. Write each "
            'row as {"prompt": ...}.'
        )
    return value


def _csv_columns(lines: TextIO, path: Path) -> Table:
    reader = csv.DictReader(lines, strict=True)
    rows = list(reader)
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise InputError(
                f"dataset {path}, row {number} (from 0): got another number of cells than columns, "
                f"expected {len(reader.fieldnames or [])}. Quote cells that contain commas."
            )
    return {name: [row[name] for row in rows] for name in reader.fieldnames or []}


def has_half_surrogate(text: str) -> bool:
    """Tell whether a text is no valid Unicode, which neither Arrow nor a file's name takes."""
    return re.search(r"[\ud800-\udfff]", text) is not None


def short_repr(value: Any) -> str:
    """Return a value as it is shown in an error message: its `repr`, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
