"""The engine: groups, answers, rollouts, trainer, evaluation. It knows no concrete reward.

Names for use as a library are imported from here, each when it is first asked for: looking at an
answer loads no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl.answers import cluster_answers, extract_answer, same_answer
    from rl.errors import InputError
    from rl.plugins import allow_code
    from rl.training.recipe import load_recipe
    from rl.training.start import start_run
    from rl.types import Group, Rollout

__all__ = [
    "Group",
    "InputError",
    "Rollout",
    "allow_code",
    "cluster_answers",
    "extract_answer",
    "load_recipe",
    "same_answer",
    "start_run",
]

_MODULES = {
    "Group": "rl.types",
    "InputError": "rl.errors",
    "Rollout": "rl.types",
    "allow_code": "rl.plugins",
    "cluster_answers": "rl.answers",
    "extract_answer": "rl.answers",
    "load_recipe": "rl.training.recipe",
    "same_answer": "rl.answers",
    "start_run": "rl.training.start",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'rl' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
