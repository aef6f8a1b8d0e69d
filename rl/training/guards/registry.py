"""Guards by name, and those a recipe's `guards` asks for."""

from collections.abc import Callable, Mapping
from typing import Any

from rl.errors import InputError
from rl.plugins import Contract, find
from rl.settings import build
from rl.training.guards.contract import Guard

ENTRY_POINT_GROUP = "label_free_rl.guards"
CONTRACT = Contract(has=("check",))

GUARDS: dict[str, Callable[..., Any] | str] = {
    "collapse": "rl.training.guards.collapse:CollapseGuard",
    "non_finite": "rl.training.guards.non_finite:NonFiniteGuard",
    "budget": "rl.training.guards.budget:BudgetGuard",
    "canaries": "rl.training.guards.canaries:CanaryGuard",
}
# On unless a recipe says `NAME: false`.
ALWAYS_ON = ("collapse", "non_finite")


def build_guards(given: Mapping[str, Any]) -> dict[str, Guard]:
    """Build the guards of a run.

    Args:
        given: Guard name (a key of `GUARDS`, a name published through the entry-point group
            `label_free_rl.guards`, `package.module:attribute` or `path/to/file.py:attribute`) ->
            its settings; a word is its `action`, nothing its defaults, false turns it off.

    Returns:
        Name -> guard, those that are always on first.

    Raises:
        InputError: If a name or a setting is unknown, or a value breaks its rule.

    Example:
        >>> guards = build_guards({"collapse": "stop", "budget": {"max_steps": 100}})
        >>> list(guards), guards["collapse"].action
        (['collapse', 'non_finite', 'budget'], 'stop')
    """
    wanted = {**dict.fromkeys(ALWAYS_ON), **given}
    return {
        name: build(
            f"guards.{name}",
            find(name, GUARDS, "guard", ENTRY_POINT_GROUP, contract=CONTRACT),
            _settings(name, settings),
        )
        for name, settings in wanted.items()
        if settings is not False
    }


def _settings(name: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, str):
        return {"action": given}
    if not isinstance(given, Mapping):
        raise InputError(
            f"guards.{name}: got {given!r}, expected settings, the name of an action or false. "
            f"Write `guards: {{{name}: stop}}`."
        )
    return dict(given)
