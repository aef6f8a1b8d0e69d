"""Settings -> object, or one clear line: names, types and ranges are checked here and nowhere else.

What may be set, and to what, is said once: by the annotations of a dataclass or of a function, such
as `share: Share` or `tie: Literal["first", "drop"]`. A `__post_init__` is left with the rules that
relate several settings.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial, wraps
from inspect import Parameter, isclass, isroutine, signature
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError

from rl.errors import InputError, unknown_name

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Letters = Annotated[str, Field(pattern=r"^[A-Z]{2,26}$")]  # of a multiple choice
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # NumPy takes no other
# An upper bound on a size only says that nobody means more: 1e12 completions are a slip.
Length = Annotated[int, Field(ge=1, le=10**8)]
Count = Annotated[int, Field(ge=1, le=10**6)]
CountOrNone = Annotated[int, Field(ge=0, le=10**6)]  # 0 stands for none
StepsOrNone = Annotated[int, Field(ge=0, le=10**9)]
Named = dict[str, dict[str, Any] | None]  # names, such as rewards, and the settings of each
NumSamples = Annotated[int, Field(ge=1, le=100_000)]

_Class = TypeVar("_Class", bound=type)


def checked(dataclass: _Class) -> _Class:
    """Let a dataclass check the type and the range of what it is built with.

    The constructor then raises `InputError`; a value is converted where that is exact.

    Example:
        >>> from dataclasses import dataclass
        >>> @checked
        ... @dataclass(frozen=True, kw_only=True)
        ... class Coin:
        ...     probability: Share = 0.5
        >>> Coin(probability="1e-3")
        Coin(probability=0.001)
        >>> Coin(probability=2)
        Traceback (most recent call last):
        rl.errors.InputError: Coin.probability: got 2, expected at most 1. Lower it.
    """
    init = dataclass.__init__

    @wraps(init)
    def check_and_init(self: Any, **settings: Any) -> None:
        init(self, **check_settings(dataclass.__name__, dataclass, settings))

    dataclass.__init__ = check_and_init  # type: ignore[method-assign]
    return dataclass


def build(
    what: str,
    target: Callable[..., Any],
    settings: Mapping[str, Any],
    *,
    filled_in: Sequence[str] = (),
    further_names: Sequence[str] = (),
) -> Any:
    """Build what settings describe; the arguments are those of `check_settings`.

    Returns:
        An object of a class; of a function, the function with its settings.
    """
    found = check_settings(what, target, settings, filled_in=filled_in, further_names=further_names)
    if isclass(target):
        return target(**found)
    if not found:
        return target
    bound = partial(target, **found)
    vars(bound).update(vars(target))  # what a function says of itself, such as needs_teacher
    return bound


def check_settings(
    what: str,
    target: Callable[..., Any],
    settings: Mapping[str, Any],
    *,
    filled_in: Sequence[str] = (),
    further_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Check the names, types and ranges of settings by the parameters of what they are for.

    Code of a user may have no annotations: then any value goes. A setting whose type is a dataclass
    may be given as a mapping of that dataclass's own settings.

    Args:
        what: Name of what is set, such as `rewards.majority_vote`; it begins every message.
        target: A class or a function.
        settings: Name -> value.
        filled_in: Parameters that are no settings, such as a reward's group.
        further_names: Settings that another takes, such as a reward's weight; named in messages.

    Returns:
        The settings as their types. Text stands for a number where it is one, such as "1e-4".

    Raises:
        InputError: If a name is unknown, one without a default is missing, or a value is of another
            type or out of its range.
    """
    parameters = [p for p in signature(target).parameters.values() if p.name not in filled_in]
    named = [
        p for p in parameters if p.kind not in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    ]
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    known = [p.name for p in named]
    for name in settings:
        if name not in known and not takes_any:
            raise unknown_name(f"setting of {what}", str(name), [*known, *further_names])
    for parameter in named:
        if parameter.default is Parameter.empty and parameter.name not in settings:
            raise InputError(f"{_join(what, parameter.name)}: got none, expected a value. Set it.")
    types = _types(target) if settings else {}
    return {
        name: check_value(_join(what, name), types.get(name, Any), value)
        for name, value in settings.items()
    }


def check_value(what: str, annotation: Any, value: Any) -> Any:
    """Return a value as its type; see `check_settings`."""
    if isclass(annotation) and hasattr(annotation, "__dataclass_fields__"):
        if isinstance(value, Mapping):
            return build(what, annotation, value)
        if not isinstance(value, annotation):
            raise InputError(
                f"{what}: got {value!r}, expected settings, name: value. Change the value."
            )
        return value
    try:
        found = _adapter(annotation).validate_python(value)
    except ValidationError as error:
        advice = _as_names(value) if annotation in (Named, Named | None) else None
        raise _wrong_value(what, value, error, advice) from error
    # To pydantic true is 1 and 1 is true.
    if isinstance(value, int | float) and isinstance(value, bool) != isinstance(found, bool):
        rule = "true or false" if isinstance(found, bool) else "a number"
        raise InputError(f"{what}: got {value!r}, expected {rule}. Change the value.")
    return found


def check_options(arguments: Any, ranges: Mapping[str, Any]) -> None:
    """Check the options of a command line.

    Args:
        arguments: Has an attribute for each option; None is an option that was left out.
        ranges: Name of the option -> its type, with its range.

    Raises:
        InputError: For the first option that is out of its range.
    """
    for name, annotation in ranges.items():
        if getattr(arguments, name) is not None:
            check_value(f"--{name}", annotation, getattr(arguments, name))


def _join(what: str, name: Any) -> str:
    return f"{what}.{name}" if what else str(name)


def _types(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters; none where they cannot be read."""
    annotated: Any = target
    if isclass(target):
        annotated = target if hasattr(target, "__dataclass_fields__") else target.__init__
    elif not isroutine(target):
        annotated = type(target).__call__
    try:
        return get_type_hints(annotated, include_extras=True)
    except NameError:  # imported for type checkers only
        return {}


def _adapter(annotation: Any) -> TypeAdapter:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        pass
    try:
        return TypeAdapter(annotation)  # a dataclass or model with a config of its own
    except PydanticUserError:
        return TypeAdapter(Any)  # an annotation that is no type


def _as_names(value: Any) -> str | None:
    """Say how names are written that were given without settings: as text, or in a list."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return f"Write {{{', '.join(f'{name}: {{}}' for name in names)}}}."


def _wrong_value(
    what: str, value: Any, error: ValidationError, advice: str | None = None
) -> InputError:
    """Say what is wrong where the value comes closest to its type, in one line."""
    problems = [(_path(value, problem["loc"]), problem) for problem in error.errors()]
    path = max((path for path, _ in problems), key=len)
    problem = next(problem for found, problem in problems if found == path)
    rules = dict.fromkeys(_rule(problem["msg"]) for found, problem in problems if found == path)
    got, rule = problem["input"], " or ".join(rules)
    near = get_close_matches(str(got), re.findall(r"'(.+?)'", rule), n=1)
    of_type = {"greater": "Raise it.", "less": "Lower it."}
    advice = advice or of_type.get(problem["type"].split("_")[0])
    if near or (isinstance(got, float) and got != got):  # NaN is neither too low nor too high
        advice = f"Did you mean {near[0]!r}?" if near else None
    where = ".".join([what, *map(str, path)])
    return InputError(f"{where}: got {got!r}, expected {rule}. {advice or 'Change the value.'}")


def _path(value: Any, location: Sequence[Any]) -> list[Any]:
    """Drop the names of types from a location that pydantic tells; keys and numbers are left."""
    path = []
    for part in location:
        is_key = isinstance(value, Mapping) and part in value
        if is_key or (isinstance(value, Sequence) and part in range(len(value))):
            path.append(part)
            value = value[part]
    return path


def _rule(message: str) -> str:
    for theirs, ours in (
        (r"^(Input|Value) should be ", ""),
        ("greater than or equal to", "at least"),
        ("less than or equal to", "at most"),
        ("greater than", "above"),
        ("less than", "below"),
        ("a valid tuple", "a valid list"),  # a file has no tuples
        (r", (unable|got) .*$", ""),
        (r"^\w+ should have (.*?)(?: after .*)?$", r"\1"),
        ("^Field required$", "one value more"),
    ):
        message = re.sub(theirs, ours, message)
    return message
