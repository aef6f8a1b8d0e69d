"""Recipes: one YAML file of settings, checked key by key and type by type before anything runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rl.data.tables import short_repr
from rl.data.yaml_text import read_yaml, read_yaml_file
from rl.errors import InputError
from rl.plugins import allow_code
from rl.settings import check_settings
from rl.training.config import LabelFreeConfig


def read_settings(
    path: str | Path, arguments: Sequence[str], allow_any_code: bool = False
) -> dict[str, Any]:
    """Read a recipe and what the command line says on top of it, which wins.

    A recipe is data: a file or a module it names is not run. What the command line names is the
    user's own word and may be run (`rl.plugins`).

    Args:
        path: The recipe.
        arguments: `--field value` and so on, see `parse_overrides`.
        allow_any_code: Whether the user wrote `--allow_code`: then the recipe's names count too.

    Raises:
        InputError: As `load_recipe` and `parse_overrides`.
    """
    overrides = parse_overrides(arguments)
    allow_code(overrides)
    if allow_any_code:
        allow_code()
    return {**load_recipe(path), **overrides}


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe's settings.

    Raises:
        InputError: If the file is missing, is not YAML or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"recipe: got {path}, expected a YAML file. Check the path.")
    settings = read_yaml_file(path)
    if not isinstance(settings, dict):
        raise InputError(
            f"recipe {path}: got {short_repr(settings)}, expected `key: value` lines. "
            "Mend the file."
        )
    return settings


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Turn `--field value`, `--field=value` and a bare `--field` (true) into settings.

    Values are read as YAML, so numbers, lists and JSON objects mean what they mean in a recipe.

    Example:
        >>> parse_overrides(["--learning_rate", "1e-4", "--use_vllm", "--rewards={random: {}}"])
        {'learning_rate': 0.0001, 'use_vllm': True, 'rewards': {'random': {}}}
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
        settings[name.replace("-", "_")] = read_yaml(text, f"--{name}") if has_value else True
    return settings


def make_config(settings: Mapping[str, Any]) -> LabelFreeConfig:
    """Check each setting's name and type, then build the configuration.

    Raises:
        InputError: For an unknown key (with the nearest known one), a value of the wrong type, or
            settings that contradict each other.
    """
    known = [f.name for f in fields(LabelFreeConfig) if f.init]
    for name in settings:
        if name not in known:
            # All of the over 200 fields would bury the message, so only the nearest one is named.
            near = get_close_matches(str(name), known, n=1)
            raise InputError(
                f"recipe key: got {name!r}, expected a field of LabelFreeConfig or "
                f"trl.GRPOConfig. {f'Did you mean {near[0]!r}?' if near else 'Remove it.'}"
            )
    try:
        return LabelFreeConfig(**check_settings("", LabelFreeConfig, settings))
    except ValueError as error:  # TRL's and transformers' own checks of combinations
        raise InputError(str(error)) from error


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """Turn settings into arguments of the command line, which `parse_overrides` reads.

    Example:
        >>> as_arguments({"seed": 1, "rewards": {"random": {}}})
        ['--seed=1', '--rewards={"random": {}}']
    """
    return [f"--{name}={json.dumps(value)}" for name, value in settings.items()]
