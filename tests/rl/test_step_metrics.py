"""A step's metrics over four groups counted by hand."""

import pytest

from rl.scoring import ScoredGroup
from rl.step_metrics import audit_metrics, group_metrics
from rl.types import Group, Rollout

# Row -> answers of a group: a majority, unanimity, a tie that "4" leads, and silence.
ANSWERS = {
    0: ["2", "2", "3", None],
    1: ["5", "5", "5.0", "5"],
    2: ["4", "6", "6", "4"],
    3: [None, None, None, None],
}
LABELS = {0: "3", 1: "5", 2: "4", 3: "7"}


def scored(make_group, answers, row=0, rewards=None, seconds=0.25):
    values: list[float | None] = rewards or [float(a is not None) for a in answers]
    return ScoredGroup(
        group=make_group(answers, visit=f"0-{row}"),
        row=row,
        rewards={"a": values},
        reward=values,
        reward_seconds={"a": seconds},
    )


@pytest.fixture(scope="module")
def four_groups(make_group):
    return [scored(make_group, answers, row) for row, answers in ANSWERS.items()]


def test_one_silent_unscorable_rollout(make_group):
    [silent] = [scored(make_group, [None], rewards=[None])]
    metrics = group_metrics([silent])
    assert "reward/mean" not in metrics
    assert metrics["reward/unscorable_frac"] == 1.0
    assert metrics["vote/majority_ratio"] == 0.0
    assert metrics["vote/no_label_frac"] == 1.0
    # No votes are not unanimous votes.
    assert metrics["vote/unanimous_frac"] == 0.0
    # Nobody voted for an answer and nobody was right: vote and label agree on the one rollout.
    assert audit_metrics([silent], {0: "7"}) == {
        "audit/accuracy": 0.0,
        "audit/label_accuracy": 0.0,
        "audit/reward_accuracy": 1.0,
    }


def test_votes_by_hand(four_groups):
    metrics = group_metrics(four_groups)
    assert metrics["vote/majority_ratio"] == pytest.approx((2 / 4 + 4 / 4 + 2 / 4 + 0) / 4)
    assert metrics["vote/num_clusters"] == (2 + 1 + 2 + 0) / 4
    assert metrics["vote/abstained_frac"] == 5 / 16
    assert metrics["vote/tie_frac"] == 1 / 4
    assert metrics["vote/unanimous_frac"] == 1 / 4
    assert metrics["vote/no_label_frac"] == 1 / 4


def test_rewards_by_hand(make_group):
    groups = [
        scored(make_group, ["2", "3"], rewards=[1.0, None], seconds=0.25),
        scored(make_group, ["2", "3"], rewards=[0.0, -0.5], seconds=0.5),
    ]
    metrics = group_metrics(groups)
    # (1 + 0 - 0.5) / 3, one of four unscorable, seconds add up.
    assert metrics["reward/mean"] == pytest.approx(0.5 / 3)
    assert metrics["reward/unscorable_frac"] == 1 / 4
    assert metrics["reward/a/unscorable_frac"] == 1 / 4
    assert metrics["reward/a/seconds"] == 0.75


def test_truncated_share():
    rollouts = tuple(Rollout(completion="", truncated=i == 0) for i in range(4))
    group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)
    step = [ScoredGroup(group=group, row=0, rewards={}, reward=[0.0] * 4, reward_seconds={})]
    assert group_metrics(step)["vote/truncated_frac"] == 1 / 4


def test_audit_by_hand(four_groups):
    metrics = audit_metrics(four_groups, LABELS)
    # Right answers: one "3" of four, all of four, both "4" of four, none.
    assert metrics["audit/accuracy"] == (1 + 4 + 2 + 0) / 16
    # Pseudo-labels 2, 5, 4 and none against 3, 5, 4 and 7.
    assert metrics["audit/label_accuracy"] == 2 / 4
    # In the first group only the silent rollout is judged alike; elsewhere all four are.
    assert metrics["audit/reward_accuracy"] == (1 + 4 + 4 + 4) / 16


def test_audit_compares_answers_not_strings(make_group):
    group = scored(make_group, ["0.5", r"\frac12", "7"])
    metrics = audit_metrics([group], {0: r"\frac{1}{2}"})
    assert metrics["audit/accuracy"] == pytest.approx(2 / 3)
    assert metrics["audit/label_accuracy"] == 1.0


def test_rows_without_a_label_are_not_audited(four_groups):
    # The labels of a training set are those of the rows that have one.
    assert audit_metrics(four_groups, {1: "5"}) == audit_metrics(four_groups[1:2], {1: "5"})
    assert audit_metrics(four_groups, {}) == {}


def test_labels_reach_audit_metrics_only(four_groups):
    assert not [name for name in group_metrics(four_groups) if name.startswith("audit/")]
    assert all(name.startswith("audit/") for name in audit_metrics(four_groups, LABELS))
