"""A step's metrics over four groups counted by hand."""

from dataclasses import replace

import pytest

from rewards.correctness import Correctness
from rewards.evol_rl import EvolRL
from rewards.guarded_vote import GuardedVote
from rewards.majority_vote import MajorityVote
from rewards.random_reward import RandomReward
from rl.answers.votes import vote_over_classes
from rl.groups.metrics import audit_metrics, group_metrics
from rl.groups.scoring import ScoredGroup, score_group
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
    group = make_group(answers, visit=f"0-{row}")
    return ScoredGroup(
        group=group,
        row=row,
        rewards={"a": values},
        reward=values,
        reward_seconds={"a": seconds},
        vote=vote_over_classes(answers, [rollout.cluster for rollout in group.rollouts]),
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
        "audit/majority_accuracy": 0.0,
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


def test_what_a_reward_measures_is_averaged_where_it_does(make_group):
    told = ({"a": {"failed": 0.5, "run": 1.0}}, {"a": {"run": 0.0}}, {"a": {"failed": 0.0}})
    groups = [replace(scored(make_group, ["2"]), measured=measured) for measured in told]
    metrics = group_metrics(groups)
    assert (metrics["reward/a/failed"], metrics["reward/a/run"]) == (0.25, 0.5)


def test_truncated_share():
    rollouts = tuple(Rollout(completion="", truncated=i == 0) for i in range(4))
    group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)
    assert group_metrics([score_group(group, 0, {}, {})])["vote/truncated_frac"] == 1 / 4


def test_audit_by_hand(four_groups):
    metrics = audit_metrics(four_groups, LABELS)
    # Right answers: one "3" of four, all of four, both "4" of four, none.
    assert metrics["audit/accuracy"] == (1 + 4 + 2 + 0) / 16
    # Pseudo-labels 2, 5, 4 and none against 3, 5, 4 and 7.
    assert metrics["audit/label_accuracy"] == 2 / 4
    # In the first group only the silent rollout is judged alike; elsewhere all four are.
    assert metrics["audit/reward_accuracy"] == (1 + 4 + 4 + 4) / 16


SILENCE_LEADS = [None] * 5 + ["1", "1", "3"]
# Reward -> what it takes for right among them: label right?, of the eight verdicts those that are.
PAID = {
    # TTRL's code pays the five silent rollouts and nobody else: only "3" is judged alike.
    "reference_code": (MajorityVote(preset="reference_code"), 0.0, 1 / 8),
    "default": (MajorityVote(), 1.0, 1.0),
    "paper": (MajorityVote(preset="paper"), 1.0, 1.0),
    # The silence that won is invalid and gets -1 as well: nobody is taken for right.
    "evol_rl": (EvolRL(preset="reference_code", novelty=False), 0.0, 6 / 8),
    "guarded": (GuardedVote(), 1.0, 1.0),
    # It takes no answer for right.
    "random": (RandomReward(), None, None),
}


@pytest.mark.parametrize("name", PAID)
def test_what_was_paid_is_audited(make_group, name):
    reward, label_accuracy, reward_accuracy = PAID[name]
    step = [score_group(make_group(SILENCE_LEADS), 0, {name: reward}, {name: 1.0})]
    metrics = audit_metrics(step, {0: "1"})
    assert metrics["audit/accuracy"] == 2 / 8
    assert metrics["audit/majority_accuracy"] == 1.0
    assert metrics.get("audit/label_accuracy") == label_accuracy
    assert metrics.get("audit/reward_accuracy") == reward_accuracy
    # Five of eight votes for silence, or two for "1".
    by_silence = name in ("reference_code", "evol_rl")
    assert group_metrics(step)["vote/majority_ratio"] == (5 / 8 if by_silence else 2 / 8)
    assert group_metrics(step)["vote/num_clusters"] == (3 if by_silence else 2)


def test_a_dropped_tie_is_no_label(make_group):
    rewards = {"random": RandomReward(), "vote": MajorityVote(tie="drop")}  # the first that votes
    step = [score_group(make_group(["4", "6"]), 0, rewards, {"random": 1.0, "vote": 1.0})]
    assert group_metrics(step)["vote/no_label_frac"] == 1.0
    # Nobody is taken for right: so judged, the wrong one of the two.
    metrics = audit_metrics(step, {0: "4"})
    assert (metrics["audit/label_accuracy"], metrics["audit/reward_accuracy"]) == (0.0, 1 / 2)


def test_a_supervised_control_is_always_right(make_group):
    reward = Correctness()
    reward.set_labels({"p": "3"})
    step = [score_group(make_group(["4", "4", "3"]), 0, {"a": reward}, {"a": 1.0})]
    metrics = audit_metrics(step, {0: "3"})
    assert (metrics["audit/accuracy"], metrics["audit/majority_accuracy"]) == (1 / 3, 0.0)
    assert (metrics["audit/label_accuracy"], metrics["audit/reward_accuracy"]) == (1.0, 1.0)
    assert group_metrics(step)["vote/majority_ratio"] == 2 / 3


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


def test_answers_depend_on_the_prompt(make_group, four_groups):
    # Ordered pairs that agree: 2 of "2", 12 of "5", 2 of "4" and 2 of "6", of 4 * 4 * 3 within
    # groups; no answer is in two groups, so kappa is their share.
    assert group_metrics(four_groups)["vote/kappa"] == pytest.approx(18 / 48)
    assert group_metrics([four_groups[1]] * 2)["vote/kappa"] == 0.0
    # The same number in two spellings is the same answer in both groups.
    halves = [scored(make_group, ["1/2", "1/2"]), scored(make_group, ["0.5", "0.5"], row=1)]
    assert group_metrics(halves)["vote/kappa"] == 0.0
    assert "vote/kappa" not in group_metrics(four_groups[:1])


def test_repetition_is_read_off_the_first_rollouts():
    loop, text = "a b " * 40, "nothing twice"
    rollouts = [Rollout(completion=c, answer="1", cluster=0) for c in (loop, text, text, text)]
    group = Group(prompt_id="p", prompt="p", rollouts=(*rollouts, rollouts[0]))
    one = ScoredGroup(group=group, row=0, rewards={}, reward=[1.0] * 5, reward_seconds={})
    # 80 pieces have 61 20-grams, two of them distinct; the other three texts are too short.
    assert group_metrics([one])["vote/repetition"] == pytest.approx(59 / 61 / 4)
