"""Branching rules by name, and the one of a run."""

from collections.abc import Callable, Mapping
from typing import Any

from rl.errors import InputError
from rl.plugins import find
from rl.rollouts.branching.contract import BranchingRule
from rl.rollouts.branching.entropy_confidence import EntropyConfidence
from rl.rollouts.branching.entropy_fork import EntropyFork
from rl.settings import build

BRANCHING: dict[str, Callable[..., Any]] = {
    "entropy_fork": EntropyFork,
    "entropy_confidence": EntropyConfidence,
}


def build_branching(
    chosen: Mapping[str, Mapping[str, Any] | None] | None, num_votes: int
) -> BranchingRule | None:
    """Build the rule that a recipe's `branching` names.

    Args:
        chosen: {name: settings}: a key of `BRANCHING`, `package.module:Class` or
            `path/to/file.py:Class`; None: completions are sampled one beside the other.
        num_votes: Completions of a prompt.

    Raises:
        InputError: If it is not one name, the name or a setting is unknown, a value breaks its
            rule, or the tree does not fit the number of votes.
    """
    if chosen is None:
        return None
    if len(chosen) != 1:
        raise InputError(
            f"branching: got {len(chosen)} names, expected one. Write `branching: {{NAME: "
            "{setting: value}}`."
        )
    [(name, given)] = chosen.items()
    kind = find(name, BRANCHING, "branching")
    if not hasattr(kind, "forks"):
        raise InputError(
            f"branching: got {name!r}, expected a class with a method forks. Write one, or name "
            "another."
        )
    rule = build(f"branching.{name}", kind, given or {})
    number = getattr(rule, "num_roots", None)
    if not isinstance(number, int) or number < 1:
        raise InputError(
            f"branching.{name}: got {number!r} as num_roots, expected a whole number of 1 or more. "
            "Set it in the class."
        )
    needed = max(number, getattr(rule, "num_completions", number))
    if needed > num_votes:
        raise InputError(
            f"num_votes: got {num_votes}, expected at least the {needed} completions of the trees "
            f"of {name}. Raise it, or make the trees smaller or fewer."
        )
    return rule
