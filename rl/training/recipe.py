"""Recipes: one YAML file of settings, checked key by key and type by type before anything runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import yaml
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from rl.errors import InputError
from rl.training.config import LabelFreeConfig


class _Loader(yaml.SafeLoader):
    """Safe YAML in which only true and false are truth values, as in YAML 1.2.

    `save_strategy: no` and a key `on` mean the words.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe's settings.

    Raises:
        InputError: If the file is missing, is not YAML or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"recipe: got {path}, expected a YAML file. Check the path.")
    try:
        settings = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path}: got invalid YAML, {error}. Mend the file.") from error
    if not isinstance(settings, dict):
        raise InputError(f"recipe {path}: got {settings!r}, expected `key: value` lines.")
    return settings


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Turn `--field value`, `--field=value` and a bare `--field` (true) into settings.

    Values are read as YAML, so numbers, lists and JSON objects mean what they mean in a recipe.

    Example:
        >>> parse_overrides(["--learning_rate", "1e-4", "--use_vllm", "--rewards={random: {}}"])
        {'learning_rate': '1e-4', 'use_vllm': True, 'rewards': {'random': {}}}
    """
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise InputError(
                f"argument: got {argument!r}, expected --field value. Put -- before a field's name."
            )
        name, has_value, text = argument[2:].partition("=")
        if not has_value and rest and not rest[0].startswith("--"):
            has_value, text = "=", rest.pop(0)
        settings[name.replace("-", "_")] = _read_value(name, text) if has_value else True
    return settings


def _read_value(name: str, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"--{name}: got {text!r}, expected a YAML value, {error}.") from error


def make_config(settings: Mapping[str, Any]) -> LabelFreeConfig:
    """Check each setting's name and type, then build the configuration.

    Raises:
        InputError: For an unknown key (with the nearest known one), a value of the wrong type, or
            settings that contradict each other.
    """
    known = [f.name for f in fields(LabelFreeConfig) if f.init]
    checked = {}
    for name, value in settings.items():
        if name not in known:
            raise _unknown_setting(name, known)
        checked[name] = check_setting(name, value)
    try:
        return LabelFreeConfig(**checked)
    except ValueError as error:  # TRL's and transformers' own checks of combinations
        raise InputError(str(error)) from error


def _unknown_setting(name: str, known: list[str]) -> InputError:
    # All of the over 200 fields would bury the message, so only the nearest one is named.
    matches = get_close_matches(str(name), known, n=1)
    advice = f"Did you mean {matches[0]!r}?" if matches else "Remove it."
    return InputError(
        f"recipe key: got {name!r}, expected a field of LabelFreeConfig or trl.GRPOConfig. {advice}"
    )


def check_setting(name: str, value: Any) -> Any:
    """Return the value as the field's type, converting text such as "1e-4" where it is exact.

    Raises:
        InputError: If the value cannot be of that type.
    """
    annotation = _annotations()[name]
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        rule = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        where = ".".join([name, *(str(part) for part in problem["loc"] if part in _keys(value))])
        raise InputError(
            f"{where}: got {problem['input']!r}, expected {rule}. Change the value."
        ) from error


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else []


@cache
def _annotations() -> dict[str, Any]:
    return get_type_hints(LabelFreeConfig)


def _adapter(annotation: Any) -> TypeAdapter:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # the annotation is a dataclass or model with a config of its own
        return TypeAdapter(annotation)
