"""TTRL-Guard's weight, bonus and pauses; every visit worked out by hand."""

import json
import pickle
from dataclasses import replace

import pytest

from rewards.guarded_vote import GuardedVote
from rl.errors import InputError

NEVER_SKIP = {"p_skip": 0.0}
ALWAYS_SKIP = {"p_skip": 1.0, "max_skipped_frac": 1.0}


@pytest.fixture
def visit(make_group):
    """Build visit number `number` from votes such as "aab-": one letter an answer, - for none."""

    def build(votes, number=0, prompt_id="p"):
        answers = [None if vote == "-" else vote for vote in votes]
        return make_group(answers, prompt_id=prompt_id, visit=f"{number}-0")

    return build


@pytest.fixture
def after(visit):
    """Build a reward that has observed one batch per string, each a visit to prompt "p"."""

    def build(*batches, **settings):
        reward = GuardedVote(**settings)
        for number, votes in enumerate(batches):
            reward.observe([visit(votes, number)])
        return reward

    return build


def test_degenerate_groups(visit):
    reward = GuardedVote()
    assert reward(visit("")) == []
    assert [reward.group_weight(visit(votes)) for votes in ("", "-", "abba")] == [1.0] * 3
    assert reward(visit("a")) == [1.0]
    assert reward(visit("-")) == [None]
    assert reward(visit("--")) == [None, None]
    assert reward(visit("aaa")) == [1.0, 1.0, 1.0]
    assert reward(visit("abba")) == [1.0, 0.0, 0.0, 1.0]
    assert GuardedVote(tie="drop")(visit("abba")) == [None] * 4
    for empty in ("", "--"):
        reward.observe([visit(empty)])
    reward.observe([])
    assert reward.state_dict() == {"prompts": {}}


def test_first_visit_is_the_plain_vote(visit):
    assert GuardedVote()(visit("aab-")) == [1.0, 1.0, 0.0, 0.0]


def test_clusters_are_computed_where_none_are_given(visit):
    group = visit(["0.5", r"\frac12", "7"])
    bare = replace(group, rollouts=tuple(replace(r, cluster=None) for r in group.rollouts))
    assert GuardedVote()(bare) == GuardedVote()(group) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("votes", "settings", "weight", "expected"),
    [
        # Small majority, 4 of 8: w = 1 - 0.5. Bonus of a (3 of 8, at least a quarter): all of 0.3.
        ("bbbbaaac", {}, 0.5, [1.0] * 4 + [0.3] * 3 + [0.0]),
        # Large majority, 6 of 8 > 0.6: w = 0.5 * 0.7; a's two votes are just a quarter.
        ("bbbbbbaa", {}, 0.35, [1.0] * 6 + [0.3] * 2),
        # One vote of 8 is too few to be protected.
        ("bbbbbbba", {}, 0.35, [1.0] * 7 + [0.0]),
        # Two minorities share the bonus: 0.3 * 3/5 and 0.3 * 2/5.
        ("bbbaaacc", {}, 0.5, [1.0] * 3 + [0.18] * 3 + [0.12] * 2),
        # A share of 0.6 is not above tau_mr = 0.6.
        ("bbbcd", {}, 0.5, [1.0] * 3 + [0.0] * 2),
        # No answer has votes, but never a bonus.
        ("bb--", {}, 0.5, [1.0, 1.0, 0.0, 0.0]),
        # The weight never falls below 0.1.
        ("bbbb", {"lambda1": 1.0}, 0.1, [1.0] * 4),
        # Each part can be switched off.
        ("bbbbaaac", {"lambda1": 0.0, "lambda2": 0.0, "beta_max": 0.0}, 1.0, [1.0] * 4 + [0.0] * 4),
    ],
)
def test_a_changed_majority_weighs_less_and_minorities_get_a_little(
    after, visit, votes, settings, weight, expected
):
    # The majority was "a" before, so this visit's flip rate is 1.
    reward, group = after("aaa", **settings), visit(votes, 1)
    assert reward.group_weight(group) == pytest.approx(weight)
    assert reward(group) == pytest.approx(expected)


def test_majorities_are_compared_as_answers(visit):
    reward = GuardedVote()
    reward.observe([visit(["0.5", "0.5", "7"])])
    assert reward.group_weight(visit([r"\frac12", r"\frac12", "7"], 1)) == 1.0
    assert reward.group_weight(visit(["7", "7", "0.5"], 1)) == pytest.approx(0.35)


def test_prompts_have_histories_of_their_own(after, visit):
    assert after("aaa").group_weight(visit("bbb", 1, prompt_id="other")) == 1.0


def test_a_majority_that_never_changed_is_damped_after_the_window(after, visit):
    # w = 1 - 0.3/2 from the fifth visit on, five times in all.
    for visits in range(12):
        expected = 0.85 if 4 <= visits < 9 else 1.0
        found = after(*["aaab"] * visits).group_weight(visit("aaab", visits))
        assert found == pytest.approx(expected)
    # Mean of the last five majority ratios: (4 * 0.6 + 0.6)/5 is not above 0.6 ...
    assert after(*["aaabc"] * 4).group_weight(visit("aaabc", 4)) == 1.0
    # ... and only the last two count with window=2: (0.6 + 0.8)/2 = 0.7.
    assert after("abc", "aaabc", window=2).group_weight(visit("aaaab", 2)) == pytest.approx(0.85)


def test_a_contested_prompt_that_locked_is_skipped(after, visit):
    contested = ("a", "b", "b", "b")

    def weight(visits, votes, **settings):
        return after(*visits, **settings).group_weight(visit(votes, len(visits)))

    assert weight(contested, "bb", **ALWAYS_SKIP) == 0.0
    # It is scored as ever, so that its tokens stay in the KL term and the normaliser.
    assert after(*contested, **ALWAYS_SKIP)(visit("bb", 4)) == [1.0, 1.0]
    # One visit fewer is not enough, with window=4 it is.
    assert weight(contested[:3], "bb", **ALWAYS_SKIP) == 1.0
    assert weight(contested[:3], "bb", window=4, **ALWAYS_SKIP) == 0.0
    # A majority that never changed is damped, never skipped.
    assert weight("aaaa", "aa", **ALWAYS_SKIP) == pytest.approx(0.85)
    # Mean ratio of the last five visits: 0.5 each, not above theta_mr = 0.5.
    assert weight(("ac", "bd", "bd", "bd"), "bd", **ALWAYS_SKIP) == 1.0
    assert weight(contested, "bb", **NEVER_SKIP) == 1.0


def test_skipped_visits_are_remembered(after, visit):
    reward = after(*"abbbb", **ALWAYS_SKIP)
    assert reward.state_dict()["prompts"]["p"] == {
        "answer": "b",
        "majority_ratios": [1.0] * 5,
        "num_visits": 5,
        "num_flips": 1,
        "num_damped": 0,
        "is_locked": True,
    }


def skipped_frac(reward, visit, prompt_ids):
    groups = [visit("b", 9, prompt_id=prompt_id) for prompt_id in prompt_ids]
    return sum(reward.group_weight(group) == 0.0 for group in groups) / len(groups)


def with_seed(reward, seed):
    other = GuardedVote(seed=seed)
    other.load_state_dict(reward.state_dict())
    return other


def test_the_expected_share_of_skipped_prompts_is_capped(visit):
    locked = [f"locked {i}" for i in range(400)]
    reward = GuardedVote()
    for number, votes in enumerate("abbbb"):
        reward.observe([visit(votes, number, prompt_id=prompt_id) for prompt_id in locked])
    # All prompts are locked: min(0.7, 0.25/1) = 0.25 of them (standard error 0.022).
    assert skipped_frac(reward, visit, locked) == pytest.approx(0.25, abs=0.08)
    # 1,200 calm prompts more: a quarter is locked, and min(0.7, 0.25/0.25) = 0.7 of it is skipped.
    reward.observe([visit("a", prompt_id=f"calm {i}") for i in range(1200)])
    assert skipped_frac(reward, visit, locked) == pytest.approx(0.7, abs=0.08)
    # The seed and the visit draw anew.
    group = visit("b", 9, prompt_id=locked[0])
    draws = {
        with_seed(reward, seed).group_weight(replace(group, visit=name))
        for seed in range(10)
        for name in "xy"
    }
    assert draws == {0.0, 1.0}


def test_two_visits_in_one_batch_count_in_order(visit):
    reward = GuardedVote()
    reward.observe([visit("aa"), visit("bb", 1), visit("bb", 2)])
    history = reward.state_dict()["prompts"]["p"]
    assert (history["answer"], history["num_visits"], history["num_flips"]) == ("b", 3, 1)


def test_the_memory_survives_json_and_pickle(after, visit):
    reward = after("aab", "bbb", "bab", "ccb")
    state = json.loads(json.dumps(reward.state_dict()))
    resumed = GuardedVote()
    resumed.load_state_dict(state)
    assert resumed == reward
    assert pickle.loads(pickle.dumps(reward)) == reward
    for votes in ("bbb", "cca", "--"):
        assert resumed(visit(votes, 4)) == reward(visit(votes, 4))
        assert resumed.group_weight(visit(votes, 4)) == reward.group_weight(visit(votes, 4))
    # The returned state is a copy.
    state["prompts"].clear()
    reward.state_dict()["prompts"]["p"]["majority_ratios"].clear()
    assert resumed == reward


def test_scoring_leaves_the_memory_alone(after, visit):
    reward = after("aab", "bbb")
    before = reward.state_dict()
    for votes in ("aaa", "ccc", ""):
        reward(visit(votes, 2))
        reward.explain(visit(votes, 2))
        reward.group_weight(visit(votes, 2))
    assert reward.state_dict() == before


def test_hostile_answers_are_remembered_as_json(visit):
    reward = GuardedVote()
    for number, answer in enumerate(["\ud83d", "{" * 5000, "\x00"]):
        reward.observe([visit([answer] * 2, number, prompt_id="\ud83d")])
    assert reward.state_dict()["prompts"]["\ud83d"]["num_flips"] == 2
    assert json.loads(json.dumps(reward.state_dict())) == reward.state_dict()


def test_the_order_of_the_rollouts_does_not_matter(after, visit):
    reward = after("aaa")
    votes = "bbbbaaac"
    assert reward(visit(votes[::-1], 1)) == reward(visit(votes, 1))[::-1]
    # Two spellings of one majority, whichever comes first, leave one history.
    spellings = ["0.5", r"\frac12", r"\frac12", "7"]
    histories = []
    for answers in (spellings, spellings[::-1]):
        reward = GuardedVote()
        reward.observe([visit(answers)])
        histories.append(reward.state_dict())
    assert histories[0] == histories[1]
    assert histories[0]["prompts"]["p"]["answer"] == r"\frac12"


def test_parts_add_up_to_the_reward(after, visit):
    reward, group = after("aaa"), visit("bbbbaaa-", 1)
    parts = reward.explain(group)
    assert [p["vote"] + p["bonus"] for p in parts] == reward(group)
    assert {p["weight"] for p in parts} == {reward.group_weight(group)}
    assert parts[0] == {"vote": 1.0, "bonus": 0.0, "weight": 0.5, "skipped": 0.0}
    assert reward.explain(visit("-")) == [dict.fromkeys(("vote", "bonus", "weight", "skipped"))]
    assert after(*"abbb", **ALWAYS_SKIP).explain(visit("b", 4))[0]["skipped"] == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lambda1": -0.1}, "GuardedVote.lambda1: got -0.1, expected at least 0"),
        ({"p_skip": 1.5}, "p_skip: got 1.5, expected at most 1"),
        ({"theta_mr": float("nan")}, "theta_mr: got nan, expected at most 1. Change"),
        ({"window": 0}, "window: got 0, expected above 0"),
        ({"tie": "last"}, "got 'last', expected 'first' or 'drop'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        GuardedVote(**settings)
