"""Checkpoints that are whole or not there: written aside, synced, sealed with a manifest, renamed.

A checkpoint of 7B parameters is about 100 GB. SHA-256 runs at 1 to 2 GB/s on a core, each file in a
thread of its own and each rank a share of the files, so it stays below the time the disk takes to
write or read them; a faster hash would save nothing.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

from rl.data.whole_files import WRITE_ERRORS, cannot_write, disk_problem, sync, write_whole
from rl.processes import with_progress

MANIFEST_FILE = "manifest.json"
UNFINISHED_DIR = "unfinished"
MAX_THREADS = 8
# Older policies that are kept for a guard to go back to.
NUM_FALLBACKS = 3

Result = TypeVar("Result")


class Checkpoints:
    """Writes the checkpoints of one run; every rank must call what is public.

    Args:
        output_dir: The run's folder, seen by all ranks.
        accelerator: Knows the ranks.
        limit: Most checkpoints that are kept, the newest; None or 0 keeps all.

    Attributes:
        unfinished_dir: Where the checkpoint at work is written; None while there is none.
        num_fallbacks: How many older ones are kept beside the newest (`kept_fallbacks`).
        protected: Steps whose checkpoints are never deleted.
        abandoned: First and last step of stretches that nobody goes back to.
    """

    def __init__(self, output_dir: Path, accelerator: Accelerator, limit: int | None) -> None:
        self.output_dir = output_dir
        self.accelerator = accelerator
        self.limit = limit
        self.unfinished_dir: Path | None = None
        self.num_fallbacks = 0
        self.protected: Sequence[int] = ()
        self.abandoned: Sequence[tuple[int, int]] = ()

    @contextmanager
    def writing(
        self, step: int, name: str | None = None, replaced: Path | None = None
    ) -> Iterator[Path]:
        """Yield the folder of a new checkpoint, which all ranks fill; at the end it is in place.

        A kill at any moment leaves either no checkpoint of this step or a whole one. The folder's
        name is its own already; the folder it lies in is not the run's until the end.

        Args:
            step: Of the policy.
            name: What the folder is called; None: checkpoint-N.
            replaced: Where a folder goes that has the name already; None: it is deleted.

        Raises:
            InputError: On every rank, if a rank could not write; nothing is left of the checkpoint.
        """
        aside = self.output_dir / UNFINISHED_DIR
        folder = aside / (name or f"checkpoint-{step}")
        self._on_main(partial(_make_anew, folder))
        self.unfinished_dir, problem = aside, None
        try:
            try:
                yield folder
            except WRITE_ERRORS as error:
                problem = disk_problem(error)
                if problem is None:
                    raise
            self._check(problem)
            names = self._on_main(partial(file_names, folder))
            share = names[self.accelerator.process_index :: self.accelerator.num_processes]
            parts = gather_object([self._on_all(partial(describe_files, folder, share, sync))])
            files = {name: facts for part in parts for name, facts in part.items()}
            self._on_main(partial(self._publish, folder, step, files, replaced))
        finally:
            self.unfinished_dir = None

    def _publish(
        self, folder: Path, step: int, files: Mapping[str, Any], replaced: Path | None
    ) -> None:
        write_manifest(folder, step, self.accelerator.num_processes, files)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                sync(path)
        place = self.output_dir / folder.name
        if place.exists():  # else a damaged one, of a step that is taken again
            place.rename(replaced or folder.with_name("replaced"))
        folder.rename(place)
        sync(self.output_dir)
        for old in self._surplus(step):
            old.rename(folder.with_name(f"surplus-{old.name}"))  # gone at once, then deleted
        shutil.rmtree(folder.parent)

    def _surplus(self, step: int) -> list[Path]:
        """Return the checkpoints that are not kept any more, now that one of this step is there."""
        if not self.limit:
            return []
        older = {
            named_step(path): path for path in list_checkpoints(self.output_dir)[: -self.limit]
        }
        useful = [number for number in older if not is_within(number, self.abandoned)]
        kept = {step, *self.protected, *kept_fallbacks(useful, step, self.num_fallbacks)}
        return [path for number, path in older.items() if number not in kept]

    def _on_main(self, work: Callable[[], Result]) -> Result:
        """Let the main process work; return its result on every rank."""
        return gather_object([self._on_all(work if self.accelerator.is_main_process else _idle)])[0]

    def _on_all(self, work: Callable[[], Result]) -> Result:
        result, problem = None, None
        try:
            result = work()
        except OSError as error:
            problem = disk_problem(error)
            if problem is None:
                raise
        self._check(problem)
        return result  # type: ignore[return-value]

    def _check(self, problem: str | None) -> None:
        """End the checkpoint on every rank if one of them has a problem."""
        problems = [found for found in gather_object([problem]) if found]
        if problems:
            if self.accelerator.is_main_process:  # half a checkpoint would fill the disk
                shutil.rmtree(self.output_dir / UNFINISHED_DIR, ignore_errors=True)
            raise cannot_write(self.output_dir, problems[0])


def is_within(step: int, stretches: Sequence[tuple[int, int]]) -> bool:
    """Whether a step is in a stretch, whose first and last step belong to it."""
    return any(first <= step <= last for first, last in stretches)


def kept_fallbacks(steps: Sequence[int], now: int, most: int) -> list[int]:
    """Choose which older policies are kept, to have one to go back to from any later step.

    The first stays, mostly the untouched policy. Of the others those go whose neighbours are
    nearest, for their age: the older, the further apart are those that stay.

    Args:
        steps: Of the older policies, ascending.
        now: Of the newest, later than all of them.
        most: How many are kept.

    Example:
        >>> kept_fallbacks([0, 10, 20, 30, 40, 50, 60], 70, 3)
        [0, 40, 60]
        >>> kept_fallbacks([0, 50, 60, 70], 80, 3), kept_fallbacks([5, 9], 12, 0)
        ([0, 50, 70], [])
    """
    kept = [*steps, now]
    while len(kept) - 1 > most > 0:
        gaps = {i: kept[i + 1] - kept[i - 1] for i in range(1, len(kept) - 1)}
        kept.pop(min(gaps, key=lambda i: gaps[i] / (now - kept[i])))
    return kept[:-1] if most else []


def _idle() -> Any:
    return None


def _make_anew(folder: Path) -> None:
    if folder.parent.exists():
        shutil.rmtree(folder.parent)
    folder.mkdir(parents=True)


# What a manifest says.


def file_names(folder: Path) -> list[str]:
    """Return the names of all files below a folder, relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def describe_files(
    folder: Path, names: Sequence[str], before: Callable[[Path], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of files, several at a time.

    Args:
        folder: Where they lie.
        names: Relative to it.
        before: Called with each file first, such as to sync it.
    """

    def describe(name: str) -> dict[str, Any]:
        if before is not None:
            before(folder / name)
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"bytes": file.tell(), "sha256": digest}

    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        found = with_progress(pool.map(describe, names), f"hashing {folder.name}", "file")
        return dict(zip(names, found, strict=True))


def write_manifest(folder: Path, step: int, num_ranks: int, files: Mapping[str, Any]) -> None:
    """Seal a checkpoint: its step, the ranks that wrote it, size and hash of every file."""
    content = {"step": step, "ranks": num_ranks, "files": dict(sorted(files.items()))}
    sealed = {**content, "seal": _seal(content)}
    write_whole(folder / MANIFEST_FILE, json.dumps(sealed, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return a checkpoint's manifest; None if it is not as it was written.

    Raises:
        FileNotFoundError: If there is none.
    """
    try:
        content = json.loads((folder / MANIFEST_FILE).read_bytes())
        seal = content.pop("seal")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return content if seal == _seal(content) else None


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# Which checkpoints there are.


class Search(NamedTuple):
    """What a search for a checkpoint found.

    Attributes:
        checkpoint: The newest whole one; None if there is none.
        skipped: Name of each newer one -> why it is not whole.
    """

    checkpoint: Path | None
    skipped: dict[str, str]


def newest_whole_checkpoint(output_dir: Path) -> Search:
    """Find the checkpoint a run goes on from: the newest whose files are all as they were written.

    Every file of it is read.
    """
    skipped = {}
    for folder in reversed(list_checkpoints(output_dir)):
        problem = checkpoint_problem(folder)
        if problem is None:
            return Search(folder, skipped)
        skipped[folder.name] = problem
    return Search(None, skipped)


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Return a run's checkpoints, whole or not, in the order of their steps."""
    found = [p for p in output_dir.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", p.name)]
    return sorted(found, key=named_step)


def named_step(folder: Path) -> int:
    """Return the step that a checkpoint is named after, whole or not."""
    return int(folder.name.rpartition("-")[2])


def checkpoint_step(folder: Path) -> int:
    """Return the optimizer steps that a whole checkpoint has behind it."""
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest["step"]


def checkpoint_problem(folder: Path) -> str | None:
    """Say why a checkpoint cannot be resumed, reading every file; None if it is whole."""
    if not folder.is_dir():
        return "which is no folder"
    if not (folder / MANIFEST_FILE).is_file():
        return f"which has no {MANIFEST_FILE}, so nothing says that it is whole"
    manifest = read_manifest(folder)
    if manifest is None:
        return f"whose {MANIFEST_FILE} is damaged"
    files = manifest["files"]
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            return f"whose {name} is missing"
        if path.stat().st_size != facts["bytes"]:
            return f"whose {name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
    try:
        found = describe_files(folder, list(files))
    except OSError as error:
        return f"which cannot be read ({error.strerror})"
    return next((f"whose {n} is damaged" for n in files if found[n] != files[n]), None)


def set_aside(output_dir: Path, step: int) -> list[Path]:
    """Rename the checkpoints after a step, which are damaged or of another future, out of the way.

    A run that goes on from `step` takes their steps again; were it stopped before its next
    checkpoint, it would go on from one of them, beside metrics that end at `step`.

    Returns:
        Where they are.
    """
    aside = []
    for folder in list_checkpoints(output_dir):
        if named_step(folder) > step:
            place = folder.with_name(f"dropped-{folder.name}")
            if place.exists():
                shutil.rmtree(place)
            aside.append(folder.rename(place))
    return aside
