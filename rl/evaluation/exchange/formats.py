"""Formats by name: how an evaluation's samples are written for other tools, and theirs read.

To add one, write a module with `write(evaluation, folder) -> paths` and a line in `WRITERS`; for
one that can be read too, tell it apart in `read_lines`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rl.data.json_lines import read_json_lines
from rl.evaluation.exchange import lighteval, lm_eval, matharena
from rl.evaluation.exchange.evaluation import ExportedEvaluation, read_export

EXPORT_DIR = "export"

WRITERS: dict[str, Callable[[ExportedEvaluation, Path], list[Path]]] = {
    "lighteval": lighteval.write,
    "lm_eval": lm_eval.write,
    "matharena": matharena.write,
}


def export_samples(folder: Path, formats: list[str]) -> list[Path]:
    """Write an evaluation's samples in other formats, each below export/FORMAT in its folder.

    Returns:
        What was written: files, or folders of files; those that `read_lines` reads come first.
    """
    evaluation = read_export(folder)
    return [
        path for name in formats for path in WRITERS[name](evaluation, folder / EXPORT_DIR / name)
    ]


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, a line as `rl.evaluation.saved_completions` has it).

    What the file is, its name and its first line tell: MathArena's .json or .json.zst files or a
    folder of them, lighteval's .parquet, lm-evaluation-harness's JSON lines, or our own.

    Raises:
        InputError: If the file cannot be read as what it is.
    """
    if matharena.is_output(path):
        yield from matharena.read(path)
        return
    if path.suffix == ".parquet":
        yield from lighteval.read(path)
        return
    with path.open("rb") as file:
        lines = read_json_lines(file, path)
        first = next(lines, None)
    if first is None:
        return
    with path.open("rb") as file:
        lines = read_json_lines(file, path)
        if lm_eval.is_line(first.value):
            yield from lm_eval.read(lines, path)
            return
        for line in lines:
            yield f"{path} line {line.number}", line.value
