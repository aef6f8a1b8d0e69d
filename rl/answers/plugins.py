"""A task's own extractor and comparer of answers, named as `rl.plugins` has it.

An extractor is `str -> str | None`: the answer in a completion. A comparer is `(str, str) -> bool`:
whether two answers mean the same. Both must depend on their arguments alone: verdicts are kept.
An error they raise ends the run with one line that names them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rl.errors import InputError
from rl.plugins import Contract, call_plugin, load_plugin

EXTRACTOR = Contract(takes=("completion",))
_COMPARER = Contract(takes=("left", "right"))
_MAX_CACHED_PAIRS = 200_000


def is_plugin(name: str) -> bool:
    """Tell a plug-in's name from that of a built-in method, with settings or without."""
    return ":" in name and not name.startswith("{")


def load_comparer(name: str) -> Any:
    """Load a comparer; see `rl.plugins.load_plugin` for errors."""
    return load_plugin(name, "answer_comparer", contract=_COMPARER)


def extract_with(name: str, text: str) -> str | None:
    """Ask an extractor for the answer in a text.

    Returns:
        What it found, without surrounding whitespace; None for none, and for empty text.

    Raises:
        InputError: If it raises anything, or returns neither text nor None.
    """
    extract = load_plugin(name, "answer_methods", contract=EXTRACTOR)
    found = _call(name, extract, text)
    if found is not None and not isinstance(found, str):
        raise InputError(
            f"answer extractor {name!r}: got {found!r}, expected text or None. Return None where "
            "there is no answer."
        )
    return (found or "").strip() or None


@lru_cache(maxsize=_MAX_CACHED_PAIRS)
def same_by(name: str, left: str, right: str) -> bool:
    """Ask a comparer whether two answers mean the same, in both orders; equal text always does.

    Raises:
        InputError: If it raises anything, or returns neither True nor False.
    """
    return left == right or _verdict(name, left, right) or _verdict(name, right, left)


def cluster_by(name: str, answers: Sequence[str | None]) -> list[int | None]:
    """Number the classes of answers that a comparer calls the same, closed as in `cluster_answers`.

    Of n different answers up to n (n - 1) / 2 pairs are asked about.

    Args:
        name: The comparer.
        answers: One answer per rollout, None where there is none.

    Returns:
        Class of each answer, counted from 0 in order of first appearance; None for no answer.
    """
    classes: list[list[str]] = []
    for answer in dict.fromkeys(answer for answer in answers if answer is not None):
        same = [c for c in classes if any(same_by(name, other, answer) for other in c)]
        others = [c for c in classes if c not in same]
        classes = [*others, [*(member for c in same for member in c), answer]]
    class_of = {answer: members[0] for members in classes for answer in members}
    numbers: dict[str, int] = {}
    return [
        None if answer is None else numbers.setdefault(class_of[answer], len(numbers))
        for answer in answers
    ]


def _verdict(name: str, left: str, right: str) -> bool:
    verdict = _call(name, load_comparer(name), left, right)
    if not isinstance(verdict, bool):
        raise InputError(
            f"answer comparer {name!r}: got {verdict!r} for {left!r} and {right!r}, expected True "
            "or False. Return a truth value."
        )
    return verdict


def _call(name: str, plugin: Any, *arguments: str) -> Any:
    given = ", ".join(map(repr, arguments))[:300]
    return call_plugin(f"{name}, called with {given}", plugin, *arguments)
