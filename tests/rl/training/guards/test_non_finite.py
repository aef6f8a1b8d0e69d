"""Gradients and weights that are no numbers: a few are passed over, more end the run as failed."""

import json

from rl.training.guards.contract import GO_ON, StepReport
from rl.training.guards.non_finite import NonFiniteGuard


def report(step, **metrics):
    named = {f"signal/{name}": value for name, value in metrics.items()}
    return StepReport(step=step, metrics=named, max_completion_length=1)


def test_a_few_in_a_row_end_the_run():
    guard = NonFiniteGuard(max_in_a_row=2)
    bad = [guard.check(report(step, update_skipped=1.0)) for step in (1, 2)]
    assert [verdict.action for verdict in bad] == ["warn", "warn"]
    assert guard.check(report(3)) == GO_ON  # one good update: counted from the start
    resumed = NonFiniteGuard(max_in_a_row=2)
    resumed.load_state_dict(json.loads(json.dumps(guard.state_dict())))
    actions = [resumed.check(report(step, update_skipped=1.0)) for step in (4, 5, 6)]
    assert [verdict.action for verdict in actions] == ["warn", "warn", "stop"]
    assert actions[-1].failed
    assert actions[-1].cause == (
        "the gradient was not finite in 3 steps in a row (5 in all), whose updates were not made"
    )


def test_the_reward_that_was_none_is_named():
    guard = NonFiniteGuard(max_in_a_row=2)
    metrics = {"reward/mine.py:f/num_not_finite": 3.0, "signal/update_skipped": 1.0}
    guard.check(StepReport(step=1, metrics=metrics, max_completion_length=1))
    # Further updates on the same rollouts, in a run that was resumed.
    resumed = NonFiniteGuard(max_in_a_row=2)
    resumed.load_state_dict(json.loads(json.dumps(guard.state_dict())))
    resumed.check(report(2, update_skipped=1.0))
    verdict = resumed.check(report(3, update_skipped=1.0))
    assert (verdict.action, verdict.failed) == ("stop", True)
    assert verdict.cause.startswith(
        "reward 'mine.py:f' and so the gradient was not finite in 3 steps in a row (3 in all)"
    )
    assert resumed.check(report(4)) == GO_ON
    assert resumed.rewards == []
    # float16: the gradient scaler skips the update and nobody counts it.
    found = {"reward/mine.py:f/num_not_finite": 1.0}
    verdict = resumed.check(StepReport(step=5, metrics=found, max_completion_length=1))
    assert verdict.action == "warn"


def test_weights_end_it_at_once():
    verdict = NonFiniteGuard().check(report(7, weights_not_finite=1.0))
    assert (verdict.action, verdict.failed, verdict.healthy_step) == ("stop", True, 6)
