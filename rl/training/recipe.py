"""Recipes: one YAML file of settings, checked key by key and type by type before anything runs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml

from rl.errors import InputError
from rl.settings import check_settings
from rl.training.config import LabelFreeConfig


class _Loader(yaml.SafeLoader):
    """Safe YAML 1.2 with its core schema, and the merge key `<<` of 1.1.

    So 1e-3 is a number and 017 is 17; `no`, `on`, 1:30 and 2025-01-01 are text. A key that stands
    in a mapping twice is an error, in place of the last one winning.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a second key of the same text, before keys are merged."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key.value!r} a second time in line {line}")
            seen.add((key.tag, str(key.value)))
        return node

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Read digits, decimal unless they begin with 0o or 0x."""
        text = self.construct_scalar(node)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for _tag, _rule, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_rule})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


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
