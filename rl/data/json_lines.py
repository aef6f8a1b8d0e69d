"""JSON lines: written, and read, plain or .gz, one at a time; a bad line is an error naming it."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from rl.errors import InputError


class JsonLine(NamedTuple):
    """A line that is not blank: its number from 1, what it holds, and its bytes."""

    number: int
    value: Any
    text: bytes


def read_json_lines(file: BinaryIO, path: Path) -> Iterator[JsonLine]:
    """Yield what each line of an open file holds.

    Args:
        file: The file as it is on disk, opened for bytes.
        path: Its name, for errors; a suffix of .gz says that it is compressed.

    Raises:
        InputError: At a line that is no JSON in UTF-8, or where a compressed file breaks off.
    """
    lines = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield JsonLine(number, json.loads(line), line)
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise InputError(
            f"{path} line {number}: got {error}, expected one JSON object in UTF-8. "
            "Correct or remove the line."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} after line {number}: got {error}, expected a complete gzip file. "
            "Compress the file again or give it another suffix than .gz."
        ) from error


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a plain file with one JSON object a line, in place of what it held."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
