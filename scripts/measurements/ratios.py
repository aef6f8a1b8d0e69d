"""Measured ratios and how they are written down."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One line of the table.

    Attributes:
        name: What was measured.
        values: One per repetition, at least one.
        target: What is aimed at, as text; empty where nothing is.
        details: Further numbers, for the JSON file only.
    """

    name: str
    values: list[float]
    target: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return everything, with smallest, middle and largest value."""
        return asdict(self) | {
            "median": statistics.median(self.values),
            "min": min(self.values),
            "max": max(self.values),
        }


def markdown_table(measurements: Sequence[Measurement]) -> str:
    """Lay measurements out, one a line: median, smallest and largest value, and the target."""
    lines = ["| measured | median | min | max | target |", "|---|---|---|---|---|"]
    for measurement in measurements:
        values = measurement.values
        numbers = [show(number) for number in (statistics.median(values), min(values), max(values))]
        lines.append(f"| {measurement.name} | {' | '.join(numbers)} | {measurement.target} |")
    return "\n".join(lines) + "\n"


def show(number: float) -> str:
    """Write a number with three significant digits.

    Example:
        >>> show(0.12345), show(31649.4), show(12.0)
        ('0.123', '31,649', '12')
    """
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
