"""Self-play's canaries as a guard: alarms in several rounds in a row."""

import json

from rl.training.guards.canaries import ALARMS, CanaryGuard
from rl.training.guards.contract import GO_ON, StepReport


def test_rounds_in_a_row_count_and_steps_without_a_round_do_not():
    guard = CanaryGuard(num_rounds=2, action="stop")
    alarms = [1, 0, 2, None, 1]
    verdicts = []
    for step, found in enumerate(alarms, start=1):
        resumed = CanaryGuard(num_rounds=2, action="stop")
        resumed.load_state_dict(json.loads(json.dumps(guard.state_dict())))
        guard = resumed
        metrics = {} if found is None else {ALARMS: float(found)}
        verdicts.append(
            guard.check(StepReport(step=step, metrics=metrics, max_completion_length=1))
        )
    assert verdicts[:4] == [GO_ON] * 4
    assert verdicts[4].action == "stop"
    assert verdicts[4].cause == "self-play's canaries raised alarms in 2 rounds in a row"
    # The round of step 2, the last without an alarm, was played by the policy of step 1.
    assert verdicts[4].healthy_step == 1
