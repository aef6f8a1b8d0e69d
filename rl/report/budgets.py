"""What runs had reached when all of them had spent as much: sampled tokens, or trained rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

TOKENS = "cost/num_sampled_tokens"
SKIPPED = "cost/rows_skipped_frac"


@dataclass(frozen=True, kw_only=True)
class Spending:
    """The evaluations of a run, in order, with all it had spent until then.

    Attributes:
        pass_at_1: Mean over the run's benchmarks.
        sampled_tokens: Tokens sampled for training, all roles and all votes.
        trained_rows: Rows of the batches that had an advantage.
    """

    pass_at_1: list[float]
    sampled_tokens: list[float]
    trained_rows: list[float]


def read_spending(lines: Sequence[Mapping[str, Any]], num_rows: int) -> Spending:
    """Read the evaluations of a run after its start.

    Args:
        lines: Objects of metrics.jsonl, in order.
        num_rows: Rows of a batch, on all ranks together.
    """
    found = Spending(pass_at_1=[], sampled_tokens=[], trained_rows=[])
    tokens_by_step: dict[int, float] = {}
    rows_by_step: dict[int, float] = {}
    for line in lines:
        if SKIPPED in line:
            tokens_by_step[line["step"]] = line[TOKENS]
            rows_by_step[line["step"]] = (1 - line[SKIPPED]) * num_rows
    for line in lines:
        values = [value for name, value in line.items() if _is_pass_at_1(name)]
        if values and line["step"]:
            found.pass_at_1.append(fmean(values))
            found.sampled_tokens.append(_until(line["step"], tokens_by_step))
            found.trained_rows.append(_until(line["step"], rows_by_step))
    return found


def _is_pass_at_1(name: str) -> bool:
    return name.startswith("eval/") and name.endswith("/pass@1")


def _until(step: int, spent: Mapping[int, float]) -> float:
    return sum(value for other, value in spent.items() if other <= step)


def at_equal_budgets(runs: Sequence[Spending]) -> list[dict[str, float]]:
    """Say what each run had reached where the most frugal of all ended.

    Between two evaluations of a run the straight line counts.

    Returns:
        For each run its pass@1 "at equal sampled tokens" and "at equal trained rows"; without one
        of them if its first evaluation came after the most frugal run had ended.
    """
    found: list[dict[str, float]] = [{} for _ in runs]
    for name in ("sampled_tokens", "trained_rows"):
        budget = min((getattr(run, name)[-1] for run in runs if run.pass_at_1), default=0.0)
        for values, run in zip(found, runs, strict=True):
            spent = getattr(run, name)
            if spent and spent[0] <= budget:
                reached = float(np.interp(budget, spent, run.pass_at_1))
                values[f"at equal {name.replace('_', ' ')}"] = reached
    return found
