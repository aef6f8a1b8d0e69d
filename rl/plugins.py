"""What a name stands for: `name`, `package.module:attribute` or `path/to/file.py:attribute`.

One rule for rewards, token selectors, games, tasks and a user's own way to read answers.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from rl.errors import InputError, unknown_name


def find(
    name: str,
    table: Mapping[str, Callable[..., Any] | str],
    kind: str,
    entry_point_group: str | None = None,
) -> Callable[..., Any]:
    """Find what a name stands for.

    Args:
        name: A key of the table, a name that an installed package publishes, or one that
            `load_plugin` takes; looked for in this order.
        table: The project's own: name -> what it is, or where it is, as `package.module:attribute`,
            for what should not be loaded before it is asked for.
        kind: What is looked for, or the setting that holds the name, for messages.
        entry_point_group: Group in which packages publish further ones.

    Raises:
        InputError: If there is nothing of that name.
    """
    if name in table:
        found = table[name]
        return load_plugin(found, kind) if isinstance(found, str) else found
    published = (
        {point.name: point for point in entry_points(group=entry_point_group)}
        if entry_point_group
        else {}
    )
    if name in published:
        return published[name].load()
    if ":" in name:
        return load_plugin(name, kind)
    raise unknown_name(kind, name, [*table, *published])


def load_plugin(name: str, what: str) -> Callable[..., Any]:
    """Load what a name stands for; a file is run once in a process.

    Args:
        name: `package.module:attribute` or `path/to/file.py:attribute`.
        what: The setting that holds the name, for messages.

    Raises:
        InputError: If there is no such file or module, or nothing callable of that name in it. What
            the user's code raises while it is loaded is not caught.
    """
    location, _, attribute = name.rpartition(":")
    if location.endswith(".py"):
        path = Path(location).expanduser()
        if not path.is_file():
            raise InputError(f"{what}: got {name!r}, expected an existing file. Check the path.")
        module = _run_file(path.resolve())
    else:
        if not all(part.isidentifier() for part in location.split(".")):
            raise InputError(
                f"{what}: got {name!r}, expected package.module:attribute or "
                "path/to/file.py:attribute. Check the name."
            )
        try:
            module = import_module(location)
        except ModuleNotFoundError as error:
            raise InputError(
                f"{what}: got {name!r}, expected an importable module ({error}). Install it, or "
                "name a file as path/to/file.py:attribute."
            ) from error
    if not callable(getattr(module, attribute, None)):
        raise InputError(
            f"{what}: got {name!r}, expected a callable {attribute!r} in it. Check the name."
        )
    return getattr(module, attribute)


def plugin_source(name: str, what: str) -> bytes:
    """Return the source file of a plug-in, which says what it computes as far as one file can."""
    plugin = load_plugin(name, what)
    path = inspect.getsourcefile(plugin if hasattr(plugin, "__code__") else type(plugin))
    return Path(path).read_bytes() if path else b""


@cache
def _run_file(path: Path) -> ModuleType:
    # dataclasses and pickle look a module up by its name, which must hide no library's.
    spec = spec_from_file_location(f"plugin_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
