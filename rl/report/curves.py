"""Training curves: numbers of metrics.jsonl as series that a page can draw."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

MAX_POINTS = 1500
TOKENS = "cost/num_sampled_tokens"
_NOT_DRAWN = {"step", "epoch", "supervised"}

Item = TypeVar("Item")


def read_series(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Turn the lines of metrics.jsonl into one series per metric.

    Args:
        lines: Objects with a "step"; those without one are left out. What is not a finite number
            is no point.

    Returns:
        Metric -> {"step": ..., "tokens": ..., "value": ...}, lists of one length, at most
        `MAX_POINTS` evenly spaced points with the first and the last. "tokens" counts everything
        sampled up to and with the step; it is empty if the run never said.
    """
    tokens = 0.0
    has_tokens = any(is_drawable(line.get(TOKENS)) for line in lines)
    series: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        spent = line.get(TOKENS)
        tokens += float(spent) if is_drawable(spent) else 0.0
        if not is_drawable(line.get("step")):
            continue
        for name, value in line.items():
            if name in _NOT_DRAWN or not is_drawable(value):
                continue
            points = series.setdefault(name, {"step": [], "tokens": [], "value": []})
            points["step"].append(line["step"])
            points["value"].append(round_to_digits(value))
            if has_tokens:
                points["tokens"].append(tokens)
    return {
        name: {axis: choose_evenly(values, MAX_POINTS) for axis, values in points.items()}
        for name, points in series.items()
    }


def choose_evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Choose evenly spaced items, the first and the last among them.

    item i of n chosen is the one at round(i * (len - 1) / (n - 1))

    Args:
        items: Any number of items.
        count: How many at most, at least 1; 1 chooses the last item.

    Returns:
        All items if there are no more than `count`, otherwise `count` of them, in order.

    Example:
        >>> choose_evenly([10, 20, 30, 40, 50], 3)
        [10, 30, 50]
    """
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[-1]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def round_to_digits(value: float, digits: int = 6) -> float:
    """Round to significant digits, which is all a page can show.

    Example:
        >>> round_to_digits(0.123456789), round_to_digits(1234567890.0)
        (0.123457, 1234570000.0)
    """
    return float(f"{value:.{digits}g}")


def is_drawable(value: Any) -> TypeGuard[float]:
    """Return whether a logged value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
