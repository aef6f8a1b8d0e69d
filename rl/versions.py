"""Versions: of the software that makes a file, and of the TRL whose inside is used."""

import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

from rl.errors import InputError

TRL_VERSION = "1.16.0"


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of the named distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the commit of the project's checkout; None outside of one or without git."""
    git = which("git")
    if git is None:
        return None
    result = subprocess.run(
        [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or None


def check_trl_version() -> None:
    """Refuse another TRL than the one whose private names are used, before any is imported.

    Raises:
        InputError: If another one is installed.
    """
    installed = version("trl")
    if installed != TRL_VERSION:
        raise InputError(
            f"trl: got version {installed}, expected {TRL_VERSION}, whose private methods the "
            f"trainer uses. Install it: pip install trl=={TRL_VERSION}."
        )
