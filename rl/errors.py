"""How a run ends that does not end well: one line on standard error and a status of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: the same command, given again, goes on
TIMED_OUT = 124  # as of the command `timeout`


class InputError(ValueError):
    """The user's input breaks a rule.

    Its message is `<what>: got <value>, expected <rule>. <What to do>.`
    """


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
    matches = get_close_matches(name, known, n=1)
    advice = f"Did you mean {matches[0]!r}?" if matches else "Use one of these names."
    return InputError(f"{what}: got {name!r}, expected one of {', '.join(sorted(known))}. {advice}")


@contextmanager
def exit_on_bad_input() -> Iterator[None]:
    """Turn an `InputError` into one line on standard error and exit status 2; bugs still crash.

    A run that was asked to stop says so in one line and keeps its status, `STOPPED`. Use it as a
    decorator of a script's `main` or around a block.
    """
    try:
        yield
    except InputError as error:
        print(" ".join(f"error: {error}".split()), file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    except RunStopped as stopped:
        if stopped.message:
            print(stopped.message, file=sys.stderr)  # noqa: T201
        raise
