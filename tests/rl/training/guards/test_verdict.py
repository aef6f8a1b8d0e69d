"""The line a run ends with."""

from rl.training.guards.verdict import Event, verdict_line


def event(**facts):
    return Event(**{"step": 60, "guard": "collapse", "action": "warn", "cause": "why", **facts})


def test_healthy_from_the_start_or_again():
    assert verdict_line([], {}, 150) == "healthy: no guard saw trouble in 150 steps."
    back = event(action="roll_back", checkpoint=40, learning_rate_factor=0.3)
    assert verdict_line([back], {}, 150) == (
        "healthy at step 150, after trouble. Step 60, collapse: why: rolled back to checkpoint-40, "
        "the learning rate multiplied by 0.3."
    )


def test_trouble_to_the_end():
    line = verdict_line([event(healthy_step=39)], {"collapse": "why"}, 150)
    assert line == "collapsing since step 40: why."
    assert verdict_line([event(guard="canaries")], {"canaries": "why"}, 9) == (
        "in trouble (canaries) at step 9: why."
    )


def test_a_run_that_was_ended():
    stop = event(action="stop", checkpoint=40)
    assert verdict_line([event(), stop], {"collapse": "why"}, 60) == (
        "stopped at step 60: collapse: why: stopped with the policy of checkpoint-40."
    )
    failed = event(guard="non_finite", action="stop", failed=True)
    assert verdict_line([failed], {}, 60) == "failed at step 60: non_finite: why: stopped."
