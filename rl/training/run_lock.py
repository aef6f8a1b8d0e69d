"""One run per output folder: a lock that a dead process cannot hold."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from accelerate import PartialState
from accelerate.utils import gather_object

from rl.data.whole_files import writing_into
from rl.errors import InputError

LOCK_FILE = "run.lock"

_logger = logging.getLogger(__name__)


@contextmanager
def one_run_in(output_dir: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block lasts; every rank must call it.

    All ranks hold the lock, so that a rank which outlives the others keeps the folder too. The
    kernel gives it up when the last of them is gone. The main process first takes the lock for
    itself alone, which fails while anyone holds it, and then shares it with the other ranks.

    Raises:
        InputError: On every rank, if another run is at work there, or the folder cannot be written.
    """
    path = Path(output_dir) / LOCK_FILE
    is_main = PartialState().is_main_process
    file, problem = None, None
    if is_main:
        file, problem = _try(path, fcntl.LOCK_EX)
    problem = gather_object([problem])[0]
    if not problem and not is_main:
        file, problem = _try(path, fcntl.LOCK_SH)
    problems = [found for found in gather_object([problem]) if found]
    try:
        if problems:
            raise InputError(problems[0])
        yield
    finally:
        if file is not None:
            file.close()


def check_idle(output_dir: Path) -> None:
    """Check that no run is at work in a folder.

    Raises:
        InputError: If one is.
    """
    file, problem = _try(output_dir / LOCK_FILE, fcntl.LOCK_EX)
    if file is not None:
        file.close()
    if problem:
        raise InputError(problem)


def _try(path: Path, kind: int) -> tuple[IO[str] | None, str | None]:
    """Take the lock; return the open file that holds it, or why it cannot be taken."""
    try:
        with writing_into(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
    except InputError as error:
        return None, str(error)
    except OSError as error:
        return None, (
            f"output_dir: got {path.parent}, expected a folder that can be written "
            f"({error.strerror}). Name another folder."
        )
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        if kind == fcntl.LOCK_EX:
            file.truncate(0)
            file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}) + "\n")
            file.flush()
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = " ".join(file.read().split())
        file.close()
        return None, (
            f"output_dir: got {path.parent}, in which another run is at work ({holder}), expected "
            "one run a folder. Wait for it, stop it, or name another folder."
        )
    except OSError as error:  # a file system without locks
        _logger.warning("%s: cannot be locked (%s); start one run a folder.", path, error.strerror)
    return file, None
