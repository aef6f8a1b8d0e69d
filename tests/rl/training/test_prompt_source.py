"""From prompts to rows, rewards and advantages, with scripted completions."""

from statistics import fmean

import pytest
from tiny_trainer import rows_of

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"1+1\boxed{1}", "", r"\boxed{1}", "=;="]
# Rewards of the six rollouts above for the first prompt, and for the second.
SCORES = {"1+1=": [1.0, 0.0, 0.5, None, 1.0, None], "2+2=": [None] * 6}


class WeighedReward:
    """Pays alike in every group, and weighs the second prompt's by a number of choice."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, group):
        return [1.0, 0.0, 0.5, 0.0, 1.0, 0.0]

    def group_weight(self, group):
        return 1.0 if group.prompt == "1+1=" else self.weight


def test_advantages_follow_the_groups_not_the_rows_order(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES, advantage="centered")
    rows = rows_of(trainer)
    order = (0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11)
    batch = trainer.next_batch([rows[i] for i in order])
    assert batch.groups.tolist() == [0, 1] * 6
    assert [row.prompt for row in batch.rows] == ["1+1=", "2+2="] * 6
    assert [row.completion for row in batch.rows[::2]] == COMPLETIONS
    expected = [0.375, -0.625, -0.125, 0.0, 0.375, 0.0]
    assert batch.advantages[0::2].tolist() == pytest.approx(expected)
    assert batch.advantages[1::2].tolist() == [0.0] * 6


def test_a_reward_that_is_no_number_makes_no_update(make_trainer):
    broken = {"1+1=": SCORES["1+1="], "2+2=": [1.0, float("nan"), 0.0, float("inf"), 0.0, None]}
    trainer = make_trainer(COMPLETIONS, broken, advantage="centered")
    batch = trainer.next_batch(rows_of(trainer))
    assert batch.advantages.isnan().all()
    assert batch.metrics["reward/scripted/num_not_finite"] == 2
    [alarm] = batch.alarms
    assert alarm == (
        "reward 'scripted': 2 values are no finite numbers, so the batch makes no update"
    )
    lines = list(batch.rollout_lines)
    assert {line["advantage"] for line in lines} == {None}
    assert [line["reward"] for line in lines[6:]] == [1.0, None, 0.0, None, 0.0, None]
    # Every row whose gradient would count is run, and makes the gradient none.
    assert trainer.to_tensors(batch)["advantages"].isnan().all()


def test_a_source_keeps_nothing_of_a_batch(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES)
    kept = dict(vars(trainer.source))
    first = trainer.next_batch(rows_of(trainer))
    assert vars(trainer.source) == kept
    # So the next batch can be asked for before this one is used.
    second = trainer.next_batch(rows_of(trainer))
    assert [row.completion for row in first.rows] == [row.completion for row in second.rows]
    assert first.advantages.equal(second.advantages)


@pytest.mark.parametrize("weight", [1.0, 0.35, 0.0])
def test_a_groups_weight_outlives_the_normalisation(make_trainer, weight):
    rewards = {"scripted": WeighedReward(weight)}
    trainer = make_trainer(COMPLETIONS, rewards, advantage="normalized", loss_type="bnpo")
    batch = trainer.next_batch(rows_of(trainer))
    first, second = batch.advantages[:6], batch.advantages[6:]
    assert first.abs().min() > 0
    assert second.tolist() == pytest.approx((weight * first).tolist())
    # A weight of 0 teaches nothing, yet its tokens stay in the normaliser and the KL term.
    output = trainer.to_tensors(batch)
    assert output["completion_mask"][6:].equal(output["completion_mask"][:6])
    assert output["num_items_in_batch"] == output["completion_mask"].sum()
    assert batch.metrics["reward/scripted/group_weight"] == (1 + weight) / 2


def test_votes_that_are_not_trained_still_reach_the_reward(make_trainer):
    scores = {"1+1=": SCORES["1+1="]}
    settings = {"num_generations": 3, "num_votes": 6, "per_device_train_batch_size": 3}
    trainer = make_trainer(COMPLETIONS, scores, **settings)
    batch = trainer.next_batch(rows_of(trainer))
    lines = list(batch.rollout_lines)
    assert [line["trained"] for line in lines] == [True] * 3 + [False] * 3
    assert [line["reward"] for line in lines] == SCORES["1+1="]
    # Trained rewards 1, 0, 0.5: mean 0.5, sample deviation 0.5.
    assert batch.advantages.tolist() == pytest.approx([1.0, -1.0, 0.0], abs=1e-5)
    assert [line["advantage"] for line in lines[3:]] == [None] * 3


def test_the_sum_of_rewards_is_what_is_trained(make_trainer):
    rewards = {
        "first": lambda group: SCORES["1+1="],
        "second": lambda group: [-2.0, -1.0, -1.0, -1.0, None, None],
    }
    trainer = make_trainer(COMPLETIONS, rewards, prompts=("1+1=",), advantage="centered")
    batch = trainer.next_batch(rows_of(trainer))
    # A missing part counts as its reward's least, 0 and -2: sums -1, -1, -0.5, -1, -1, none.
    expected = [-0.1, -0.1, 0.4, -0.1, -0.1, 0.0]
    assert batch.advantages.tolist() == pytest.approx(expected)
    assert batch.rewards[:5].tolist() == [-1.0, -1.0, -0.5, -1.0, -1.0]
    assert batch.rewards[5].isnan()
    assert batch.rewards_by_name.isnan().int().tolist() == [[0, 0]] * 3 + [[1, 0], [0, 1], [1, 1]]


def test_rollouts_know_the_policy_that_sampled_them(make_trainer):
    seen = []

    class Watching:
        def __call__(self, group):
            return [0.0] * len(group.rollouts)

        def observe(self, groups):
            seen.extend({r.policy_version for r in group.rollouts} for group in groups)

    trainer = make_trainer(COMPLETIONS, {"watching": Watching()})
    trainer.state.global_step = 7
    batch = trainer.next_batch(rows_of(trainer))
    assert batch.policy_version == 7
    assert seen == [{7}, {7}]
    assert "policy_version" not in next(iter(batch.rollout_lines))


def test_metrics_say_what_was_voted_and_spent(make_trainer):
    trainer = make_trainer(COMPLETIONS, SCORES)
    batch = trainer.next_batch(rows_of(trainer))
    # Answers 1, 2, 1, none, 1, none in both groups: 3 of 6 votes for the leader.
    assert batch.metrics["vote/majority_ratio"] == pytest.approx(0.5)
    assert batch.metrics["vote/num_clusters"] == 2
    assert batch.metrics["vote/abstained_frac"] == pytest.approx(1 / 3)
    assert batch.metrics["reward/unscorable_frac"] == pytest.approx(8 / 12)
    assert batch.metrics["reward/scripted/seconds"] >= 0
    assert not any(name.startswith("audit/") for name in batch.metrics)
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 12


class SeesViews:
    """Pays the share of the problem's completions that give the answer, and keeps what it saw."""

    def __init__(self):
        self.seen = {}
        self.observed = []

    def __call__(self, group):
        self.seen[group.visit] = group
        votes = [r.cluster for view in group.problem for r in view.rollouts]
        shares = [None if r.cluster is None else votes.count(r.cluster) for r in group.rollouts]
        return [None if share is None else share / len(votes) for share in shares]

    def observe(self, groups):
        self.observed = list(groups)


def test_a_reward_sees_the_groups_of_all_wordings(make_trainer):
    reward = SeesViews()
    prompts = ("1+1=", "2-0=", "3+3=", "6+0=")
    trainer = make_trainer(COMPLETIONS, {"views": reward}, prompts=prompts, views=2)
    batch = trainer.next_batch(rows_of(trainer))
    assert list(reward.seen) == ["0-0", "0-0.1", "0-1", "0-1.1"]
    for visit, group in reward.seen.items():
        assert {view.visit[:3] for view in group.problem} == {visit[:3]}
        assert [view.prompt for view in group.problem] == [*prompts[:2], *prompts[2:]][
            2 * int(visit[2]) :
        ][:2]
        # Answers 1, 2, 1, none, 1, none: the same completions for every prompt.
        for view in group.problem:
            assert [r.cluster for r in view.rollouts] == [0, 1, 0, None, 0, None]
    # Of 12 completions of a problem 6 say 1, and 2 say 2.
    assert batch.rewards[:3].tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 2])
    assert [group.views for group in reward.observed] == [
        group.views for group in reward.seen.values()
    ]
    assert {line["visit"] for line in batch.rollout_lines} == set(reward.seen)


def test_the_order_of_problems_plays_no_part_in_their_views(make_trainer):
    prompts = ("1+1=", "2-0=", "3+3=", "6+0=")
    trainer = make_trainer(COMPLETIONS, {"views": SeesViews()}, prompts=prompts, views=2)
    rows = rows_of(trainer)
    first = trainer.next_batch(rows)
    other = trainer.next_batch([*rows[12:], *rows[:12]])
    assert [row.prompt for row in other.rows[:6]] == ["3+3="] * 6
    for batch in (first, other):
        assert batch.rewards[~batch.rewards.isnan()].tolist() == pytest.approx(
            [1 / 2, 1 / 6, 1 / 2, 1 / 2] * 4
        )


def test_an_advantage_and_a_reward_share_what_is_measured_of_tokens(make_trainer):
    seen = []

    class Look:
        needs_token_statistics = True

        def __call__(self, group):
            seen.extend(group.rollouts)
            return [0.0] * len(group.rollouts)

    passes, batches = [], []
    for rewards in ({}, {"look": Look()}):
        of_run = []
        pay = {"pay": lambda group: [1.0, 0.0, 0.5, 0.0, 1.0, 0.0], **rewards}
        trainer = make_trainer(
            [text or "1" for text in COMPLETIONS],
            pay,
            prompts=("1+1=",),
            advantage="entropy_reshaped",
            num_votes=6,
            num_generations=3,
            per_device_train_batch_size=3,
        )
        forward = trainer.model.forward

        def counted(*args, forward=forward, of_run=of_run, **kwargs):
            of_run.append(kwargs.get("token_statistics", False))
            return forward(*args, **kwargs)

        trainer.model.forward = counted
        batches.append(trainer.next_batch(rows_of(trainer)))
        passes.append(sum(of_run))
    assert passes == [1, 2]  # three rows each: the trained ones, and all
    assert batches[0].advantages.abs().max() > 0
    assert batches[1].advantages.tolist() == pytest.approx(batches[0].advantages.tolist(), abs=1e-4)
    # The reward sees them too, of trained rollouts alone, as it does without statistics.
    assert [r.entropy for r in seen[3:]] == [None] * 3
    assert [r.entropy for r in seen[:3]] == pytest.approx(
        [fmean(r.token_statistics.entropies) for r in seen[:3]]
    )
