"""Budgets: which is spent, and when."""

import pytest

from rl.training.guards.budget import BudgetGuard
from rl.training.guards.contract import GO_ON, StepReport


@pytest.mark.parametrize(
    ("limits", "cause"),
    [
        ({"max_tokens": 500}, "500 sampled tokens are spent of a budget of 500"),
        ({"max_tokens": 501}, None),
        ({"max_seconds": 8.5}, "9 seconds are spent of a budget of 8"),
        ({"max_steps": 4}, "4 steps are spent of a budget of 4"),
        ({"max_steps": 5, "max_tokens": 501, "max_seconds": 60}, None),
    ],
)
def test_a_budget(limits, cause):
    report = StepReport(
        step=4, metrics={}, max_completion_length=1, sampled_tokens=500, seconds=9.0
    )
    verdict = BudgetGuard(**limits).check(report)
    if cause is None:
        assert verdict == GO_ON
    else:
        assert (verdict.action, verdict.cause, verdict.healthy_step) == ("stop", cause, None)
        assert not verdict.failed
