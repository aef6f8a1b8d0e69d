"""How bad input reaches the user: one line on standard error and exit status 2."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class InputError(ValueError):
    """The user's input breaks a rule.

    Its message is `<what>: got <value>, expected <rule>. <What to do>.`
    """


class RunFailed(RuntimeError):
    """A run came to nothing: what it left is written, and its message says why it ended."""


def unknown_name(what: str, name: str, known: list[str]) -> InputError:
    """Build the error for a name that is not in a list, with the nearest known name as advice."""
    matches = get_close_matches(name, known, n=1)
    advice = f"Did you mean {matches[0]!r}?" if matches else "Use one of these names."
    return InputError(f"{what}: got {name!r}, expected one of {', '.join(sorted(known))}. {advice}")


@contextmanager
def exit_on_bad_input() -> Iterator[None]:
    """Turn an `InputError` into one line on standard error and exit status 2; bugs still crash.

    A `RunFailed` becomes one line and exit status 3. Use it as a decorator of a script's `main` or
    around a block.
    """
    try:
        yield
    except RunFailed as error:
        print(" ".join(f"error: {error}".split()), file=sys.stderr)  # noqa: T201
        raise SystemExit(3) from None
    except InputError as error:
        print(" ".join(f"error: {error}".split()), file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
