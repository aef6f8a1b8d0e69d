"""What compares a task's answers in place of our rules: built in, or a function of one's own.

A built-in comparer is a class with a method `classes(answers, by_rule)`, as `rl.answers.meaning`
has it, and goes by its name or, with settings, by `{name: {setting: value}}`. One of one's own is a
function of two answers (`rl.answers.plugins`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from rl.answers.plugins import cluster_by, is_plugin, load_comparer
from rl.data.yaml_text import read_yaml
from rl.errors import InputError
from rl.plugins import find
from rl.settings import build

COMPARERS: dict[str, Callable[..., Any] | str] = {"meaning": "rl.answers.meaning:Meaning"}

# A name, {name: settings}, or the latter as text.
ComparerSetting: TypeAlias = str | Mapping[str, Mapping[str, Any] | None]
Classes: TypeAlias = list[int | None]


class Comparer(Protocol):
    """Finds the classes of the answers of one group."""

    def classes(self, answers: Sequence[str | None], by_rule: Classes) -> Classes:
        """Number them from 0 in order of first appearance; None for no answer."""
        ...


class ComparerError(RuntimeError):
    """A comparer that was found could not compare."""


def comparer_name(setting: ComparerSetting) -> str:
    """Check what a setting names and return it as one text, from which it can be found again.

    Raises:
        InputError: If there is nothing of that name, or a setting of it is unknown or wrong.

    Example:
        >>> comparer_name({"meaning": {"threshold": 0.8}}), comparer_name({"meaning": None})
        ('{"meaning": {"threshold": 0.8}}', 'meaning')
    """
    if isinstance(setting, str) and setting.startswith("{"):
        setting = read_yaml(setting, "answer_comparer")
    if isinstance(setting, str):
        if is_plugin(setting):
            load_comparer(setting)
        else:
            _built(setting)
        return setting
    if not isinstance(setting, Mapping) or len(setting) != 1:
        raise InputError(
            f"answer_comparer: got {setting!r}, expected one name, or one with its settings as "
            "{name: {setting: value}}. Change it."
        )
    [(name, settings)] = setting.items()
    text = json.dumps({name: dict(settings)}, sort_keys=True) if settings else str(name)
    _built(text)
    return text


def classes_by(
    name: str, answers: Sequence[str | None], by_rule: Callable[[Sequence[str | None]], Classes]
) -> Classes:
    """Number the classes of equal answers of one group.

    Args:
        name: As `comparer_name` returned it.
        answers: One per rollout, None where there is none.
        by_rule: Finds the classes by our rules, from which a built-in comparer starts.

    Raises:
        InputError: If the comparer cannot be had or fails.
    """
    if is_plugin(name):
        return cluster_by(name, answers)
    try:
        return _built(name).classes(answers, by_rule(answers))
    except ComparerError as error:
        raise InputError(f"answer_comparer, {error}") from error


@lru_cache(maxsize=8)
def _built(text: str) -> Comparer:
    name, settings = text, {}
    if text.startswith("{"):
        [(name, settings)] = json.loads(text).items()
    target = find(name, COMPARERS, "answer_comparer")
    return build(f"answer_comparer.{name}", target, settings)
