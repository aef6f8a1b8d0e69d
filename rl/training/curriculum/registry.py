"""Curricula by name, and those of a run as one."""

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset

from rl.errors import InputError
from rl.groups.memory import show_groups
from rl.groups.scoring import ScoredGroup
from rl.plugins import call_plugin, find
from rl.settings import build
from rl.training.curriculum.contract import METHODS, PromptFact
from rl.training.curriculum.data_stream import DataStream
from rl.training.curriculum.easy_first import EasyFirst
from rl.training.curriculum.hidden_states import HiddenStates
from rl.training.curriculum.majority_band import MajorityBand
from rl.training.curriculum.mixed_rewards import MixedRewards
from rl.training.curriculum.random_prompts import RandomPrompts

if TYPE_CHECKING:
    from rl.training.source import Policy

CURRICULA: dict[str, Callable[..., Any]] = {
    "data_stream": DataStream,
    "easy_first": EasyFirst,
    "hidden_states": HiddenStates,
    "majority_band": MajorityBand,
    "mixed_rewards": MixedRewards,
    "random_prompts": RandomPrompts,
}


class Curricula:
    """The rules of a run together: each orders what the one before left, and each may leave out.

    Args:
        rules: Name -> rule (`rl.training.curriculum.contract`).
    """

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self.rules = dict(rules)
        self.signals = {f"curriculum {name}": rule for name, rule in rules.items()}
        self.chooses = {name: rule for name, rule in rules.items() if hasattr(rule, "teaches")}
        tries = [getattr(rule, "num_tries", 1) for rule in self.chooses.values()]
        self.num_tries = max(tries, default=1)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def prepare(self, prompts: Dataset, policy: "Policy") -> None:
        """Let the rules ask the policy what they need to know; every rank must call it."""
        for name, rule in self.rules.items():
            if hasattr(rule, "prepare"):
                call_plugin(f"curriculum {name!r}", rule.prepare, prompts, policy)

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Put the prompts of an epoch in order.

        Raises:
            InputError: If a rule returns anything but some of the rows, each once.
        """
        for name, rule in self.rules.items():
            if not hasattr(rule, "order"):
                continue
            what = f"curriculum {name!r}"
            ordered, given = call_plugin(what, _ordered, rule, list(rows), prompts)
            if given or not set(ordered) <= set(rows) or len(set(ordered)) < len(ordered):
                got = given or "other rows than it was given, or one twice"
                raise InputError(
                    f"curriculum {name!r}: got {got[:200]}, "
                    "expected some of them, each once. Mend its `order`."
                )
            rows = ordered
        return list(rows)

    def teaches(self, scored: ScoredGroup) -> bool:
        """Say whether a group is trained: whether every rule says so."""
        return all(_teaches(name, rule, scored) for name, rule in self.chooses.items())

    def observe(self, sampled: Sequence[ScoredGroup]) -> None:
        """Show the rules every group that was sampled for a batch."""
        show_groups(self.rules, [scored.group for scored in sampled])


def _ordered(
    rule: Any, rows: list[int], prompts: Sequence[PromptFact]
) -> tuple[list[int], str | None]:
    """The rows a rule returns, and what it returned instead where those are none."""
    given = rule.order(rows, prompts)
    try:
        return [index(row) for row in given], None
    except TypeError:
        return [], repr(given)


def _teaches(name: str, rule: Any, scored: ScoredGroup) -> bool:
    says = call_plugin(f"curriculum {name!r}", rule.teaches, scored)
    if not isinstance(says, bool | np.bool_):
        raise InputError(
            f"curriculum {name!r}: got {says!r}, expected true or false. Mend its `teaches`."
        )
    return bool(says)


def build_curricula(settings: Mapping[str, Mapping[str, Any] | None]) -> Curricula:
    """Build the rules that a recipe's `curriculum` names.

    Args:
        settings: A key of `CURRICULA`, `package.module:Class` or `path/to/file.py:Class` -> the
            rule's settings.

    Raises:
        InputError: If a name or a setting is unknown, what it names cannot be loaded, or a value
            breaks its rule.
    """
    rules = {}
    for name, given in settings.items():
        rule = find(name, CURRICULA, "curriculum")
        if not any(hasattr(rule, method) for method in METHODS):
            raise InputError(
                f"curriculum: got {name!r}, expected a class with a method order or teaches. Write "
                "one, or name another."
            )
        rules[name] = build(f"curriculum.{name}", rule, given or {})
    return Curricula(rules)
