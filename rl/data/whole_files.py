"""Files that are whole or not there, and what a full disk or a read-only folder says."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rl.errors import DISK_ERRORS, InputError

# What somebody has to mend on the machine; any other error is a bug of ours.
_OF_THE_DISK = DISK_ERRORS | {errno.EACCES, errno.EPERM}
# What libraries raise that could not write.
WRITE_ERRORS = (OSError, SafetensorError, RuntimeError)
GOES_ON = "the run then goes on with --resume_from_checkpoint auto"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name to write a file under; it gets its own once it is whole and on the disk.

    Whoever reads `path`, at any moment and after any kill, finds the old file or the new one.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        yield unfinished
        sync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_output(path: Path, what: str = "--output") -> None:
    """Check that a file can be written under a name: anew, or in place of another file.

    Args:
        path: The name.
        what: The option that holds it, for messages.

    Raises:
        InputError: If its folder is not there, or the name is that of a folder, a device or a pipe,
            in place of which no file may come.
    """
    if not path.parent.is_dir():
        raise InputError(
            f"{what}: got {path}, expected a file in an existing folder. Create {path.parent} "
            "first."
        )
    if path.exists() and not path.is_file():
        raise InputError(
            f"{what}: got {path}, expected the name of a file, not of a folder or a device. Name "
            "another."
        )


def write_whole(path: Path, text: str) -> None:
    """Write a file of text, or leave the one that is there as it is."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Wait until a file or a folder, the names in it, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def disk_problem(error: BaseException) -> str | None:
    """Say in a few words what a disk refused; None if an error is none of a disk.

    Python raises an `OSError`. Safetensors and `torch.save` write on their own: the first tells the
    number of the error in its message, the second nothing but that it failed.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, SafetensorError):
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else None
    if number in _OF_THE_DISK:
        return os.strerror(number)
    if isinstance(error, RuntimeError) and re.search(
        r"PytorchStreamWriter failed|inline_container\.cc|cannot be opened", str(error)
    ):
        return "a file that could not be written"
    return None


def cannot_write(folder: Path, problem: str, then: str = GOES_ON) -> InputError:
    """Build the error for a folder that takes no more files, and say what to do once it does."""
    return InputError(
        f"output_dir: got {problem} in {folder}, expected room and permission to write. Mend that "
        f"(df, quota); {then}."
    )


@contextmanager
def writing_into(folder: Path, then: str = GOES_ON) -> Iterator[None]:
    """Turn what a full disk, a quota or a read-only folder says into one clear line.

    Args:
        folder: Where the block writes.
        then: What to do once that is mended.

    Raises:
        InputError: If the block failed for such a reason.
    """
    try:
        yield
    except WRITE_ERRORS as error:
        problem = disk_problem(error)
        if problem is None:
            raise
        raise cannot_write(folder, problem, then) from error
