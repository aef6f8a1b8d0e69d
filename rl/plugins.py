"""What a name stands for: `name`, `package.module:attribute` or `path/to/file.py:attribute`.

One rule for rewards, token selectors, games, tasks, engines, advantages and a user's own way to
read answers: the project's own names and those of installed packages may stand anywhere. A file or
a module is code, and a recipe or a saved folder is data that may come from anybody: code is run
only under a name that the user wrote on the command line, or with `--allow_code`. That is no
sandbox: what is allowed can do whatever the user can.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, TypeVar

from rl.errors import InputError, unknown_name

Outcome = TypeVar("Outcome")

_ANYTHING = "anything"
_allowed: set[str] = set()


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What shows that a function or a class was written for a purpose.

    Any name in any module can be put where a plug-in is named, and `subprocess:Popen` is a class as
    a reward may be. So only what bears the names that the purpose gives is called. This tells
    mistakes from plug-ins, not good code from bad.

    Attributes:
        takes: Names of the first parameters of a function, or of a class's method `__call__`.
        built_with: Names of further parameters of a function, or of a class.
        has: Names of a class's attributes.
    """

    takes: tuple[str, ...] = ()
    built_with: tuple[str, ...] = ()
    has: tuple[str, ...] = ()

    def check(self, name: str, what: str, plugin: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plug-in that keeps to the contract.

        Args:
            name: What named it.
            what: The setting that holds the name, for messages.
            plugin: What was found.

        Raises:
            InputError: If it does not.
        """
        rules = []
        called = _call_of(plugin) if inspect.isclass(plugin) else plugin
        if self.takes and _positional(called)[: len(self.takes)] != self.takes:
            names = ", ".join(self.takes)
            rules.append(f"a function, or a class with a method __call__, that takes {names} first")
        if not set(self.built_with) <= set(_parameters(plugin)):
            names = ", ".join(self.built_with)
            rules.append(f"a function or class with a parameter {names}")
        if not all(hasattr(plugin, attribute) for attribute in self.has):
            rules.append(f"a class with {', '.join(self.has)}")
        if rules:
            raise InputError(
                f"{what}: got {name!r}, expected {' and '.join(rules)}. Write one, or name another."
            )
        return plugin


ANY = Contract()


def _call_of(plugin: type) -> Callable[..., Any] | None:
    """A class's method `__call__` without `self`; None without one."""
    for base in plugin.__mro__:
        if "__call__" in vars(base):  # else `plugin.__call__` would be the constructor
            return partial(vars(base)["__call__"], None)
    return None


def _positional(called: Callable[..., Any] | None) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, p in _parameters(called).items() if p.kind in kinds)


def _parameters(called: Callable[..., Any] | None) -> Mapping[str, inspect.Parameter]:
    try:
        return {} if called is None else inspect.signature(called).parameters
    except (TypeError, ValueError):  # written in C
        return {}


def allow_code(said: Any = _ANYTHING) -> None:
    """Allow code to be run, in this process and until it ends.

    Args:
        said: What the user wrote on the command line: every text in it, in whatever lists and
            mappings, is a name under which code may be run. Without it, any name is.
    """
    if isinstance(said, str):
        _allowed.add(said)
    elif isinstance(said, Mapping):
        allow_code([*said.keys(), *said.values()])
    elif isinstance(said, Iterable):
        for part in said:
            allow_code(part)


def names_code(setting: Any) -> bool:
    """Whether some text in a setting may name code, in whatever lists and mappings it stands."""
    if isinstance(setting, Mapping):
        return names_code([*setting.keys(), *setting.values()])
    if isinstance(setting, str):
        return ":" in setting
    return isinstance(setting, Iterable) and any(map(names_code, setting))


def add_code_argument(parser: Any) -> None:
    """Add `--allow_code` to a script that reads names from files."""
    parser.add_argument(
        "--allow_code",
        action="store_true",
        help="run the files and modules that a recipe or a saved folder names, and code that comes "
        "with a model; without it, only what this command line names",
    )


def require_allowed(name: str, what: str, code: str) -> None:
    """Refuse to run code under a name that the user did not write himself.

    Args:
        name: What names the code.
        what: The setting that holds the name, for messages.
        code: What would be run, in words.

    Raises:
        InputError: If neither the name nor any code was allowed (`allow_code`).
    """
    if not {name, _ANYTHING} & _allowed:
        raise InputError(
            f"{what}: got {name!r}, which would run {code}, expected that only where you said so. "
            "Pass --allow_code, or the name itself on the command line, if you trust it."
        )


def find(
    name: str,
    table: Mapping[str, Callable[..., Any] | str],
    kind: str,
    entry_point_group: str | None = None,
    *,
    contract: Contract = ANY,
) -> Callable[..., Any]:
    """Find what a name stands for.

    Args:
        name: A key of the table, a name that an installed package publishes, or one that
            `load_plugin` takes; looked for in this order.
        table: The project's own: name -> what it is, or where it is, as `package.module:attribute`,
            for what should not be loaded before it is asked for.
        kind: What is looked for, or the setting that holds the name, for messages.
        entry_point_group: Group in which packages publish further ones.
        contract: What somebody else's must keep to.

    Raises:
        InputError: If there is nothing of that name, or nothing that is meant for this.
    """
    if name in table:
        found = table[name]
        return _load(found, kind) if isinstance(found, str) else found
    published = (
        {point.name: point for point in entry_points(group=entry_point_group)}
        if entry_point_group
        else {}
    )
    if name in published:
        return contract.check(
            name, kind, call_plugin(kind, published[name].load, expected="a package that loads")
        )
    if ":" in name:
        return load_plugin(name, kind, contract=contract)
    raise unknown_name(kind, name, [*table, *published])


def load_plugin(name: str, what: str, *, contract: Contract = ANY) -> Callable[..., Any]:
    """Load what a name stands for, if that is allowed; a file is run once in a process.

    Args:
        name: `package.module:attribute` or `path/to/file.py:attribute`.
        what: The setting that holds the name, for messages.
        contract: What it must keep to.

    Raises:
        InputError: If the name is not allowed, there is no such file or module, or nothing callable
            of that name in it, it raises while it is loaded, or nothing in it is meant for this.
    """
    location = name.rpartition(":")[0]
    is_file = location.endswith(".py")
    code = f"the file {Path(location).absolute()}" if is_file else f"the module {location!r}"
    require_allowed(name, what, code)
    return contract.check(name, what, _load(name, what))


def call_plugin(
    what: str, plugin: Callable[..., Outcome], *arguments: Any, expected: str = "an answer"
) -> Outcome:
    """Call somebody's code; whatever it raises becomes one line that names it and the place.

    Raises:
        InputError: If it raises anything or tries to end the process; an accelerator that is out
            of memory is passed on.
    """
    try:
        return plugin(*arguments)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's: no slip of the code
            raise
        reason = f"{type(error).__name__}: {str(error)[:300]}".removesuffix(": ")
        raise InputError(
            f"{what}: got {reason}{_place_of(error)}, expected {expected}. Mend the code there"
            f"{_fields_of(getattr(error, 'obj', None))}."
        ) from error


def _place_of(error: BaseException) -> str:
    """Say where an error was raised, or what it says itself of a file that cannot be read."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    places = [
        f" at {frame.filename}:{frame.lineno}"
        for frame in extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")  # of the import system
    ]
    return places[-1] if places else ""


def _fields_of(asked: Any) -> str:
    """Say what an object of ours has, where an attribute was asked for that it has not."""
    if not is_dataclass(asked) or isinstance(asked, type):
        return ""
    names = ", ".join(field.name for field in fields(asked))
    return f": a {type(asked).__name__} has {names}"


def plugin_source(name: str, what: str) -> bytes:
    """Return the source file of a plug-in, which says what it computes as far as one file can."""
    plugin = load_plugin(name, what)
    path = inspect.getsourcefile(plugin if hasattr(plugin, "__code__") else type(plugin))
    return Path(path).read_bytes() if path else b""


def _load(name: str, what: str) -> Callable[..., Any]:
    location, _, attribute = name.rpartition(":")
    if location.endswith(".py"):
        path = Path(location).expanduser()
        if not path.is_file():
            raise InputError(f"{what}: got {name!r}, expected an existing file. Check the path.")
        module = call_plugin(what, _run_file, path.resolve(), expected="a file that loads")
    else:
        if not all(part.isidentifier() for part in location.split(".")):
            raise InputError(
                f"{what}: got {name!r}, expected package.module:attribute or "
                "path/to/file.py:attribute. Check the name."
            )
        module = call_plugin(what, _import, name, what, expected="a module that loads")
    if not callable(getattr(module, attribute, None)):
        raise InputError(
            f"{what}: got {name!r}, expected a callable {attribute!r} in it. Check the name."
        )
    return getattr(module, attribute)


def _import(name: str, what: str) -> ModuleType:
    try:
        return import_module(name.rpartition(":")[0])
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what}: got {name!r}, expected an importable module ({error}). Install it, or "
            "name a file as path/to/file.py:attribute."
        ) from error


@cache
def _run_file(path: Path) -> ModuleType:
    # dataclasses and pickle look a module up by its name, which must hide no library's.
    spec = spec_from_file_location(f"plugin_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
