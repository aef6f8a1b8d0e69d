"""Tables beside the results: what runs cost, and how their settings differ."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import yaml

from rl.report.curves import is_drawable
from rl.report.folders import ReportedRun

# What a run says of itself rather than how it works.
_IDENTITY = {"output_dir", "run_name", "logging_dir"}


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One line of a table with a column per run.

    Attributes:
        name: What the line is about.
        cells: One text per run, "" where the run has none.
        differs: Whether the runs' cells are not all the same.
    """

    name: str
    cells: list[str]
    differs: bool = False


def cost_rows(runs: Sequence[ReportedRun]) -> list[TableRow]:
    """Return what each training run spent, one line per kind of cost.

    The amounts are those of the summary; of a run without one, the sums of the cost/ metrics so
    far. Shares (names that end in _frac) are means over steps; "seconds in steps" is the sum of
    the trainer's step_time.

    Returns:
        Seconds first, then counts, then shares; only lines that a run has.
    """
    costs = [spent(run) for run in runs]
    names = dict.fromkeys(name for cost in costs for name in cost)
    ordered = sorted(names, key=_cost_kind)
    return [
        TableRow(
            name=name,
            cells=[_amount(name, cost[name]) if name in cost else "" for cost in costs],
        )
        for name in ordered
    ]


def setting_rows(runs: Sequence[ReportedRun]) -> list[TableRow]:
    """Return every setting as YAML in one line per setting; those that differ come first.

    Nested settings are named by their path: rewards.majority_vote.weight.
    """
    flat = [_flatten(run.settings) for run in runs]
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = []
    for name in names:
        cells = [one_line(settings[name]) if name in settings else "" for settings in flat]
        differs = len(set(cells)) > 1 and name.split(".")[0] not in _IDENTITY
        rows.append(TableRow(name=name, cells=cells, differs=differs))
    return sorted(rows, key=lambda row: not row.differs)


def spent(run: ReportedRun) -> dict[str, float]:
    """Return what a run spent: the amounts of its summary, or the sums of its metrics so far."""
    logged: dict[str, list[float]] = defaultdict(list)
    for line in run.metrics:
        for name, value in line.items():
            if name.startswith("cost/") and is_drawable(value):
                logged[name.removeprefix("cost/")].append(value)
    found = {
        name: fmean(values) if _is_share(name) else sum(values) for name, values in logged.items()
    }
    steps = [line["step_time"] for line in run.metrics if is_drawable(line.get("step_time"))]
    if steps:
        found["seconds in steps"] = sum(steps)
    known = run.summary.get("cost")
    known = known if isinstance(known, Mapping) else {}
    amounts = {
        name: value for name, value in known.items() if is_drawable(value) and not _is_share(name)
    }
    return found | amounts


def _is_share(name: str) -> bool:
    return name.endswith(("_frac", "_ratio"))


def _cost_kind(name: str) -> tuple[int, str]:
    if name.startswith("seconds"):
        return 0, name
    if name.endswith("seconds"):
        return 1, name
    return (3, name) if _is_share(name) else (2, name)


def _amount(name: str, value: float) -> str:
    if _is_share(name):
        return f"{value:.3f}"
    if "seconds" in name:
        return f"{value:,.1f} s"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def one_line(value: Any) -> str:
    """Write a setting as YAML in one line; text as it is."""
    if isinstance(value, str):
        return value
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("...").strip()
