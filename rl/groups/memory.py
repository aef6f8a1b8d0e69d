"""The memory of rewards and token selectors: fed after each batch, kept in checkpoints as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl.errors import InputError
from rl.plugins import call_plugin
from rl.types import Group

SIGNAL_FILE = "signal_state.json"


def show_groups(signals: Mapping[str, Any], groups: Sequence[Group]) -> None:
    """Show all groups of a batch to every signal that has `observe`.

    Args:
        signals: Name -> reward.
        groups: On every rank the same groups in the same order, so that all ranks remember alike.
    """
    for name, signal in signals.items():
        if hasattr(signal, "observe"):
            call_plugin(f"reward {name!r}, observing", signal.observe, list(groups))


def save_signals(folder: Path, signals: Mapping[str, Any]) -> None:
    """Write the state of every signal that has one; no file if none has.

    Args:
        folder: The checkpoint.
        signals: Name -> reward or token selector.
    """
    states = {
        name: state_of(name, signal)
        for name, signal in signals.items()
        if hasattr(signal, "state_dict")
    }
    if states:
        (folder / SIGNAL_FILE).write_text(json.dumps(states), encoding="utf-8")


def state_of(name: str, signal: Any) -> Any:
    """Return what a signal remembers.

    Raises:
        InputError: If it raises, or returns what JSON cannot hold.
    """
    state = call_plugin(f"{name}, state_dict", signal.state_dict)
    try:
        json.dumps(state)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}, state_dict: got {str(state)[:200]} ({error}), expected plain JSON: lists, "
            "dictionaries by text, numbers, text. Convert it there, and back in load_state_dict."
        ) from error
    return state


def prompt_signals(signals: Mapping[str, Any]) -> set[str]:
    """Name what says which prompts come next: the place in the stream, and rules with `part`."""
    rules = {name: it for name, it in signals.items() if name.startswith("curriculum ")}
    return {"prompt stream", *(name for name, rule in rules.items() if hasattr(rule, "part"))}


def load_signals(folder: Path, signals: Mapping[str, Any]) -> None:
    """Give every signal back its state; one that the checkpoint does not know starts afresh."""
    path = folder / SIGNAL_FILE
    if not path.is_file():
        return
    states = json.loads(path.read_text(encoding="utf-8"))
    for name, signal in signals.items():
        if name in states and hasattr(signal, "load_state_dict"):
            signal.load_state_dict(states[name])
