"""The weighted vote; its weights are in test_vote_weights.py."""

import pytest

from rewards import get_reward
from rewards.majority_vote import MajorityVote
from rewards.weighted_vote import WeightedVote
from rl.answers import cluster_answers
from rl.errors import InputError
from rl.types import Group, Rollout


def make_group(texts: list[tuple[str, str | None]]) -> Group:
    answers = [answer for _, answer in texts]
    rollouts = (
        Rollout(completion=text, answer=answer, cluster=cluster)
        for (text, answer), cluster in zip(texts, cluster_answers(answers), strict=True)
    )
    return Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts))


# Lengths 4, 2, 4 and 8: the median is 4.
GROUP = make_group([("aaaa", "3"), ("bb", "2"), ("cccc", "3.0"), ("dddddddd", None)])
BY_LENGTH = {"length": {"power": -2.0}}


@pytest.mark.parametrize("by", ["equal", BY_LENGTH, "history"])
def test_degenerate_groups(by):
    reward = WeightedVote(by=by)
    assert reward(make_group([])) == []
    assert reward(make_group([("", None), ("a", None)])) == [None, None]
    assert reward(make_group([("a", "2")])) == [1.0]
    assert WeightedVote(by=by, tie="drop")(make_group([("a", "2"), ("b", "3")])) == [None, None]


def test_without_statistics_certainty_weighs_nothing():
    assert WeightedVote(by="borda").needs_token_statistics
    assert WeightedVote(by="borda")(GROUP) == [None] * 4


def test_equal_weights_are_the_majority():
    assert WeightedVote(by="equal")(GROUP) == MajorityVote()(GROUP) == [1.0, 0.0, 1.0, 0.0]
    assert not WeightedVote(by="equal").needs_token_statistics


def test_a_heavy_minority_wins():
    # Class 3: 1 + 1; class 2: (2/4)^-2 = 4; the silent one (8/4)^-2 = 1/4; all 6.25.
    reward = WeightedVote(by=BY_LENGTH)
    assert reward(GROUP) == [0.0, 1.0, 0.0, 0.0]
    found = reward.vote(GROUP)
    assert (found.pseudo_label, found.vote.majority_ratio) == ("2", 4 / 6.25)
    assert found.vote.weights == {0: 2.0, 1: 4.0}
    assert reward.explain(GROUP)[1] == {"vote_weight": 4.0}


def test_it_remembers_if_its_weight_does():
    reward, resumed = (WeightedVote(by={"history": {"strength": 3.0}}) for _ in range(2))
    reward.observe([make_group([("", "2"), ("", "2"), ("", "3")])])
    # 2 weighs 1 + 3 * 2/3 = 3; 3 weighs 2 * (1 + 3 * 1/3) = 4; then 2 is alone with 5 against 4.
    assert reward(GROUP) == [1.0, 0.0, 1.0, 0.0]
    resumed.load_state_dict(reward.state_dict())
    assert resumed.vote(GROUP).vote.weights == {0: pytest.approx(4.0), 1: pytest.approx(3.0)}
    assert WeightedVote(by="equal").state_dict() == {}


def test_your_own_weight_may_not_be_negative(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def negative(group):\n    return [-1.0 for _ in group.rollouts]")
    with pytest.raises(InputError, match=r"weight of a vote: got -1.0"):
        WeightedVote(by=f"{path}:negative")(GROUP)


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"rewards.weighted_vote.by: got 'bordaa'.*borda"):
        get_reward("weighted_vote", by="bordaa")
    with pytest.raises(InputError, match="expected at least 0"):
        get_reward("weighted_vote", by={"borda": {"power": -1}})
