"""How a run ends that does not end well: one line on standard error and a status of its own."""

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TextIO, cast

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: the same command, given again, goes on
TIMED_OUT = 124  # as of the command `timeout`
INTERRUPTED = 130  # 128 + SIGINT, as of a shell
NOBODY_READS = 141  # 128 + SIGPIPE, as of other commands whose output was closed
MAX_CHARACTERS = 900  # of a line of error; a value may be longer than anybody wants to read
# What the system says of a disk, whether or not it names a file.
DISK_ERRORS = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ESTALE}


class InputError(ValueError):
    """The user's input breaks a rule.

    Its message is `<what>: got <value>, expected <rule>. <What to do>.`
    """


class RunFailed(RuntimeError):
    """A run came to nothing: what it left is written, and its message says why it ended."""


class RunStopped(SystemExit):
    """A run was asked to stop and can go on later; it ends with status `STOPPED`.

    Args:
        message: The line for the user; empty on ranks that leave it to the main process.
    """

    def __init__(self, message: str) -> None:
        super().__init__(STOPPED)
        self.message = message


def unknown_name(what: str, name: str, known: list[str]) -> InputError:
    """Build the error for a name that is not in a list, with the nearest known name as advice."""
    if not known:
        return InputError(
            f"{what}: got {name!r}, expected none: there are no such names. Remove it."
        )
    matches = get_close_matches(name, known, n=1)
    advice = f"Did you mean {matches[0]!r}?" if matches else "Use one of these names."
    return InputError(f"{what}: got {name!r}, expected one of {', '.join(sorted(known))}. {advice}")


@contextmanager
def exit_on_bad_input(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn an `InputError` into one line on standard error and exit status 2; bugs still crash.

    So do errors of the system about a file or a disk, which are no bugs either. A `RunFailed` ends
    with exit status 3; a run that was asked to stop says so in one line and keeps its status,
    `STOPPED`. Where nobody reads the output of what ended well, as in `| head`, it ends with
    `NOBODY_READS`; after Ctrl-C, unless the block made something else of it, with one line and
    `INTERRUPTED`. Use it as a decorator of a script's `main` or around a block.

    Args:
        interrupted: That line.
    """
    try:
        try:
            yield
        except SystemExit as end:
            if end.code:
                _flush_or_drop()
            else:
                _flush()
            raise
        else:
            _flush()
    except RunFailed as error:
        _exit(str(error), 3)
    except InputError as error:
        _exit(str(error))
    except KeyboardInterrupt:
        _flush_or_drop()
        print(f"\n{interrupted}", file=sys.stderr)  # noqa: T201
        raise SystemExit(INTERRUPTED) from None
    except RunStopped as stopped:
        if stopped.message:
            print(stopped.message, file=sys.stderr)  # noqa: T201
        raise SystemExit(STOPPED) from None  # said once, also where one such block is in another
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        raise SystemExit(NOBODY_READS) from None
    except OSError as error:
        if error.filename is None and error.errno not in DISK_ERRORS:
            raise
        place = "files" if error.filename is None else str(error.filename)
        _exit(
            f"{_shortened(place, 300)}: got {error.strerror}, expected a place that can be read "
            "and written as needed. Check the path, its permissions and the disk."
        )


def _flush() -> None:
    """Write what was printed, not at the interpreter's end, where nothing can be caught."""
    output = cast("TextIO | None", sys.stdout)  # None where a shell closed it, as by `>&-`
    if output is not None:
        output.flush()


def _flush_or_drop() -> None:
    """Write what was printed if it can be; why the run ends is worth more than why it cannot."""
    try:
        _flush()
    except OSError:
        _drop_output()


def _drop_output() -> None:
    """Let what is printed and not written yet go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _output_is_closed() -> bool:
    """Return whether nobody reads standard output any more; if so, what is left goes nowhere."""
    output = select.poll()
    output.register(1, 0)
    is_closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))
    if is_closed:
        _drop_output()
    return is_closed


def _exit(message: str, status: int = 2) -> None:
    _flush_or_drop()
    line = " ".join(f"error: {message}".split())
    # A value may hold whatever a file held, and a terminal obeys control characters.
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    print(_shortened(printable, MAX_CHARACTERS), file=sys.stderr)  # noqa: T201
    raise SystemExit(status) from None


def _shortened(text: str, most: int) -> str:
    """Leave out the middle of a long text: what is wrong stands first, what to do last."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {text[len(text) - most // 2 :]}"
