"""Asks a guard about a run that is over, from its metrics.jsonl: what it would have answered."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rl.training.guards.contract import GO_ON, Guard, StepReport, Verdict, without_labels


def replayed_reports(
    lines: Iterable[Mapping[str, Any]], max_completion_length: int, held_out: bool = True
) -> Iterator[StepReport]:
    """Yield the reports a run gave its guards.

    Args:
        lines: Of metrics.jsonl, in order.
        max_completion_length: The run's setting.
        held_out: Whether what was measured on held-out prompts is in the reports.
    """
    evaluation: dict[str, Any] = {}
    tokens = seconds = 0.0
    for line in lines:
        if "grad_norm" not in line:
            evaluation |= {k: v for k, v in line.items() if held_out and k.startswith("eval/")}
            continue
        tokens += line.get("cost/num_sampled_tokens") or 0.0
        seconds += line.get("step_time") or 0.0
        yield StepReport(
            step=line["step"],
            metrics=without_labels({**evaluation, **line}),
            max_completion_length=max_completion_length,
            sampled_tokens=tokens,
            seconds=seconds,
        )
        evaluation = {}


def first_answer(guard: Guard, reports: Iterable[StepReport]) -> tuple[int, Verdict] | None:
    """Return the first answer that is not to go on, and its step; None if there is none."""
    for report in reports:
        verdict = guard.check(report)
        if verdict != GO_ON:
            return report.step, verdict
    return None
