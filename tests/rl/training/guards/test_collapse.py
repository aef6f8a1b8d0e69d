"""The collapse guard on made-up reports: what it lets pass, what it names, what it remembers."""

import json

import pytest

from rl.errors import InputError
from rl.training.guards.collapse import CollapseGuard
from rl.training.guards.contract import GO_ON, StepReport


def report(step, **metrics):
    named = {
        (name if name in ("entropy",) or "/" in name else f"vote/{name}"): value
        for name, value in {"majority_ratio": 0.6, **metrics}.items()
    }
    named["completions/mean_length"] = 20.0  # a step with rollouts has it
    return StepReport(step=step, metrics=named, max_completion_length=48)


def watch(guard, reports):
    """The first verdict that is not to go on, and its step; None if there is none."""
    for one in reports:
        verdict = guard.check(one)
        if verdict != GO_ON:
            return one.step, verdict
    return None


def test_a_policy_that_grows_sure_is_left_alone():
    # Majority, kappa and length rise, entropy falls to nothing, one settled prompt in 20 flips.
    reports = [
        report(
            step,
            majority_ratio=min(1.0, 0.5 + step / 100),
            kappa=min(1.0, 0.3 + step / 100),
            unanimous_frac=min(1.0, step / 100),
            truncated_frac=min(0.4, step / 200),
            entropy=max(0.0, 0.1 - step / 1000),
            num_settled=20,
            settled_flips=1,
            settled_gap=20,
        )
        for step in range(1, 200)
    ]
    assert watch(CollapseGuard(), reports) is None


def test_majorities_that_come_loose():
    reports = [
        report(step, num_settled=8, settled_flips=2, settled_gap=15) for step in range(21, 60)
    ]
    step, verdict = watch(CollapseGuard(), reports)
    # 8 of 32: Wilson's lower end is 0.133, above 0.1; 6 of 24 end at 0.120.
    assert step == 23
    assert verdict.action == "warn"
    assert verdict.cause == (
        "6 of 24 prompts that had a majority gave it to another answer within 15 steps"
    )
    # The first report, of step 21, is of the policy after 20 updates; the last visit 15 before it.
    assert verdict.healthy_step == 5


def test_few_visits_say_nothing():
    reports = [report(1, num_settled=23, settled_flips=23, settled_gap=1)]
    assert watch(CollapseGuard(), reports) is None


def test_held_out_prompts_are_visits_too():
    reports = [
        report(
            step,
            **{"eval/num_settled": 60, "eval/settled_flips": 20, "eval/settled_gap": 10}
            if step % 10 == 0
            else {},
        )
        for step in range(1, 60)
    ]
    step, verdict = watch(CollapseGuard(), reports)
    assert step == 10
    assert verdict.healthy_step == 0


def test_answers_that_no_longer_depend_on_the_prompt():
    reports = [report(s, kappa=0.3 + s / 100, entropy=0.11, unanimous_frac=0.1) for s in range(31)]
    reports += [report(s, kappa=0.0, entropy=0.0, unanimous_frac=1.0) for s in range(31, 60)]
    step, verdict = watch(CollapseGuard(), reports)
    assert verdict.cause.startswith("answers depend less on the prompt: kappa fell from 0.56 to 0.")
    assert "every group is unanimous" in verdict.cause
    assert "the entropy fell from 0.11 to 0." in verdict.cause
    # Kappa was highest in the ten reports up to step 30 and rose before: step 20 is still healthy.
    # It has lost 40% of 0.555 when the mean of ten is at most 0.333: with 4 zeros and the six from
    # 0.55 on it is 0.345, with 5 zeros 0.29.
    assert (step, verdict.healthy_step) == (35, 20)


def test_where_kappa_only_fell_the_start_is_the_last_good_policy():
    reports = [report(s, kappa=max(0.0, 0.4 - s / 50)) for s in range(1, 40)]
    step, verdict = watch(CollapseGuard(), reports)
    assert verdict.healthy_step == 0
    assert step <= 15


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("truncated_frac", "all completions reach 48 tokens"),
        ("abstained_frac", "all completions hold no answer"),
        ("repetition", "100% of a completion repeats what it said before, 0% at the start"),
    ],
)
def test_completions_that_are_no_good(name, cause):
    reports = [report(s, **{name: 0.0}) for s in range(1, 31)]
    reports += [report(s, **{name: 1.0}) for s in range(31, 60)]
    guard = CollapseGuard(window=1)
    step, verdict = watch(guard, reports)
    # Report 31 is of the policy after 30 updates; that after 29 was still in order.
    assert (step, verdict.cause, verdict.healthy_step) == (31, cause, 29)
    # A policy that was so from the start has not become so.
    assert watch(CollapseGuard(), [report(s, **{name: 1.0}) for s in range(1, 60)]) is None


def test_an_alarm_lasts_but_for_a_lower_learning_rate():
    bad = report(1, num_settled=40, settled_flips=40, settled_gap=1)
    good = report(2, num_settled=40, settled_flips=0, settled_gap=1)
    guard = CollapseGuard(action="roll_back", learning_rate_factor=0.5)
    assert guard.check(bad).learning_rate_factor == 0.5
    assert guard.check(good).action == "roll_back"
    guard = CollapseGuard(action="lower_learning_rate")
    assert guard.check(bad).action == "lower_learning_rate"
    assert guard.check(good) == GO_ON


def test_what_is_remembered_is_json_and_decides_alike():
    reports = [report(s, num_settled=4, settled_flips=s % 2 * 2, settled_gap=1) for s in range(50)]
    guard = CollapseGuard()
    expected = [guard.check(one) for one in reports]
    assert expected[-1] != GO_ON
    guard, found = CollapseGuard(), []
    for one in reports:
        state = json.loads(json.dumps(guard.state_dict()))
        guard = CollapseGuard()
        guard.load_state_dict(state)
        found.append(guard.check(one))
    assert found == expected


def test_a_step_without_rollouts_says_nothing():
    empty = StepReport(step=3, metrics={"grad_norm": 1.0}, max_completion_length=48)
    guard = CollapseGuard()
    before = guard.state_dict()
    assert guard.check(empty) == GO_ON
    assert guard.state_dict() == before


@pytest.mark.parametrize(
    "settings", [{"action": "panic"}, {"max_flip_share": 2}, {"window": 0}, {"memory": 1}]
)
def test_wrong_settings(settings):
    with pytest.raises(InputError, match=r"CollapseGuard|memory"):
        CollapseGuard(**settings)
