"""The line a run ends with."""

from pathlib import Path

from rl.training.guards.verdict import Event, verdict_line

RUN = (Path("runs/mine"), 1e-3)


def event(**facts):
    return Event(**{"step": 60, "guard": "collapse", "action": "warn", "cause": "why", **facts})


def test_healthy_from_the_start_or_again():
    assert verdict_line([], {}, 150, *RUN) == "healthy: no guard saw trouble in 150 steps."
    back = event(action="roll_back", checkpoint=40, learning_rate_factor=0.3)
    assert verdict_line([back], {}, 150, *RUN) == (
        "healthy at step 150, after trouble. Step 60, collapse: why: rolled back to checkpoint-40, "
        "the learning rate multiplied by 0.3."
    )


def test_trouble_to_the_end():
    trouble = event(healthy_step=39, good_checkpoint=30)
    assert verdict_line([trouble], {"collapse": "why"}, 150, *RUN) == (
        "collapsing since step 40: why. runs/mine/checkpoint-30 is still good: the same command "
        "with --resume_from_checkpoint runs/mine/checkpoint-30 --learning_rate 1.0e-04 "
        "--accept_changes '[learning_rate]' goes on from it."
    )
    for checkpoint in (None, 0):  # the untouched policy has a checkpoint too, in some runs
        trouble = event(healthy_step=39, good_checkpoint=checkpoint)
        assert verdict_line([trouble], {"collapse": "why"}, 150, *RUN) == (
            "collapsing since step 40: why. No checkpoint up to step 39 holds what was trained: "
            "start again from the model, with --learning_rate 1.0e-04 and another --output_dir."
        )
    assert verdict_line([event(guard="canaries")], {"canaries": "why"}, 9, *RUN) == (
        "in trouble (canaries) at step 9: why."
    )


def test_a_spent_budget_does_not_hide_a_collapse():
    spent = event(step=95, guard="budget", action="stop", cause="95 steps are spent")
    line = verdict_line([event(healthy_step=39), spent], {"collapse": "why"}, 95, *RUN)
    assert line.startswith(
        "collapsing since step 40: why. Stopped at step 95: budget: 95 steps are spent: stopped. "
        "No checkpoint up to step 39"
    )
    line = verdict_line([event(healthy_step=39), spent], {}, 95, *RUN)
    assert line == "stopped at step 95: budget: 95 steps are spent: stopped."


def test_a_run_that_was_ended():
    stop = event(action="stop", checkpoint=40)
    assert verdict_line([event(), stop], {"collapse": "why"}, 60, *RUN) == (
        "stopped at step 60: collapse: why: stopped with the policy of checkpoint-40."
    )
    failed = event(guard="non_finite", action="stop", failed=True)
    line = "failed at step 60: non_finite: why: stopped."
    assert verdict_line([failed], {}, 60, *RUN) == line
    # It ended with the policy it had: nothing was kept to go back to.
    stop = event(action="stop", healthy_step=39)
    assert "start again from the model" in verdict_line([stop], {"collapse": "why"}, 60, *RUN)
