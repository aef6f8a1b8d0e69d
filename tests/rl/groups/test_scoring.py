"""From completions to rewards; sums by hand, and rewards that break their contract."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from rewards.majority_vote import MajorityVote
from rewards.token_entropy import TokenEntropy
from rl.errors import InputError
from rl.groups import scoring
from rl.groups.scoring import answer_groups, classify_samples, score_group, weighted_sums
from rl.groups.visits import VisitKey
from rl.questions import Asked
from rl.rollouts.engine import Sample
from rl.types import Group, Rollout, TokenStatistics


def make_unanswered(*completions, **fields):
    rollouts = tuple(Rollout(completion=text, **fields) for text in completions)
    return Group(prompt_id="p", prompt="1+1=", visit="3-7", rollouts=rollouts)


def constant(*scores):
    return lambda group: list(scores)


def test_what_no_reward_scored_is_unscorable():
    assert weighted_sums({"a": [], "b": []}, {"a": 1.0, "b": 1.0}) == []
    nothing = {"a": [None, None], "b": [None, None]}
    assert weighted_sums(nothing, {"a": 1.0, "b": 1.0}) == [None, None]
    # One reward alone: a missing score is never made up.
    assert weighted_sums({"a": [1.0, None, 0.0]}, {"a": 2.0}) == [2.0, None, 0.0]


def test_a_reward_that_scores_nobody_counts_nowhere():
    scores = {"a": [0.0, 1.0, None], "b": [None, None, None]}
    assert weighted_sums(scores, {"a": 1.0, "b": -3.0}) == [0.0, 1.0, None]


def test_weighted_sums_by_hand():
    # 0.5 * 1 - 2 * 0.25 + 1 * 3 = 3
    scores, weights = {"a": [1.0], "b": [0.25], "c": [3.0]}, {"a": 0.5, "b": -2.0, "c": 1.0}
    assert weighted_sums(scores, weights) == [3.0]


def test_no_rollout_gains_by_lacking_a_part():
    # Right, wrong and surer, wrong and less sure, no answer: the entropies are -0.25, -0.5, -2, and
    # the missing one counts as the least, -2. As 0 it would rank no answer above both wrong ones.
    vote = [1.0, 0.0, 0.0, 0.0]
    weights = {"vote": 1.0, "other": 1.0}
    sums = weighted_sums({"vote": vote, "other": [-0.25, -0.5, -2.0, None]}, weights)
    assert sums == [0.75, -0.5, -2.0, -2.0]
    # With a weight of -1 the parts are 0.25, 0.5 and 2, of which 0.25 is the least.
    weights = {"vote": 1.0, "other": -1.0}
    sums = weighted_sums({"vote": vote, "other": [-0.25, -0.5, -2.0, None]}, weights)
    assert sums == [1.25, 0.5, 2.0, 0.25]


def test_silence_does_not_rank_above_wrong_answers():
    rollouts = tuple(
        Rollout(
            completion="",
            answer=answer,
            cluster=cluster,
            num_tokens=1,
            token_statistics=TokenStatistics(
                logps=(-1.0,),
                entropies=(entropy,),
                self_certainties=(1.0,),
                in_answer=(answer is not None,),
            ),
        )
        for answer, cluster, entropy in [
            ("2", 0, 0.5),
            ("2", 0, 1.0),
            ("3", 1, 2.0),
            (None, None, 0.0),
        ]
    )
    group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)
    rewards = {"majority_vote": MajorityVote(), "token_entropy": TokenEntropy(span="answer")}
    scored = score_group(group, 0, rewards, {"majority_vote": 1.0, "token_entropy": 0.1})
    assert scored.rewards["token_entropy"][3] is None
    # 1 - 0.05, 1 - 0.1, 0 - 0.2, and no answer as the least sure one.
    assert scored.reward == pytest.approx([0.95, 0.9, -0.2, -0.2])


def test_no_groups_and_empty_groups():
    assert answer_groups([], ["boxed"]) == []
    [empty] = answer_groups([make_unanswered()], ["boxed"])
    assert empty.rollouts == ()
    scored = score_group(empty, 0, {"a": constant()}, {"a": 1.0})
    assert (scored.rewards, scored.reward) == ({"a": []}, [])


def test_answers_and_their_classes():
    completions = (r"\boxed{0.5}", "no idea", r"so \boxed{7}", r"\boxed{\frac12}")
    [group] = answer_groups([make_unanswered(*completions)], ["boxed"])
    assert [r.answer for r in group.rollouts] == ["0.5", None, "7", r"\frac12"]
    assert [r.cluster for r in group.rollouts] == [0, None, 1, 0]


def test_groups_do_not_mix_and_keep_all_else():
    first = make_unanswered(r"\boxed{7}", num_tokens=9, truncated=True, trained=False)
    second = make_unanswered(r"\boxed{8}", "8", num_tokens=4)
    answered = answer_groups([first, second], ["boxed", "last_number"])
    # 8 is class 0 of its own group although 7 was seen first.
    assert [r.cluster for g in answered for r in g.rollouts] == [0, 0, 0]
    assert answered[0].rollouts == (
        Rollout(
            completion=r"\boxed{7}",
            answer="7",
            cluster=0,
            num_tokens=9,
            truncated=True,
            trained=False,
        ),
    )
    assert {(g.prompt_id, g.prompt, g.visit) for g in answered} == {("p", "1+1=", "3-7")}


def test_methods_and_choices_are_obeyed():
    box_only, any_number = (
        answer_groups([make_unanswered("so 8")], methods)[0].rollouts[0].answer
        for methods in (["boxed"], ["boxed", "last_number"])
    )
    assert (box_only, any_number) == (None, "8")
    [group] = answer_groups([make_unanswered("a man said: the answer is C")], ["boxed"], "ABCD")
    [rollout] = answer_groups(
        [make_unanswered("a man said: the answer is C")], ["boxed", "final_answer_phrase"], "ABCD"
    )[0].rollouts
    assert (group.rollouts[0].answer, rollout.answer) == (None, "C")


def test_several_rewards_by_hand():
    group = make_unanswered("x", "y", "z")
    rewards = {"a": constant(1.0, None, None), "b": constant(0.5, 2.0, None)}
    scored = score_group(group, 4, rewards, {"a": 1.0, "b": 2.0})
    # 1 + 2 * 0.5 = 2; a's least is 1, so 1 + 2 * 2 = 5; nothing scored the third.
    assert scored.reward == [2.0, 5.0, None]
    assert scored.rewards == {"a": [1.0, None, None], "b": [0.5, 2.0, None]}
    assert (scored.row, scored.group) == (4, group)
    assert scored.reward_seconds.keys() == {"a", "b"}
    assert all(seconds >= 0 for seconds in scored.reward_seconds.values())


def test_a_reward_sees_the_whole_group_once():
    seen = []

    def reward(group) -> list[float | None]:
        seen.append(group)
        return [None] * len(group.rollouts)

    group = make_unanswered("x", "y")
    score_group(group, 0, {"a": reward}, {"a": 1.0})
    assert len(seen) == 1
    assert seen[0] is group


def test_numbers_of_any_kind_become_floats():
    scored = score_group(make_unanswered("x", "y"), 0, {"a": constant(True, 2)}, {"a": 1.0})
    assert [type(score) for score in scored.rewards["a"]] == [float, float]
    assert scored.reward == [1.0, 2.0]


@pytest.mark.parametrize("weight", [-0.5, -math.inf, None])
def test_a_groups_weight_must_be_a_factor(weight):
    reward: Any = constant(1.0, 0.0)
    reward.group_weight = lambda group: 0.5
    group = make_unanswered("x", "y")
    both = {"a": reward, "b": reward}
    assert score_group(group, 0, both, {"a": 1.0, "b": 1.0}).weight == 0.25
    reward.group_weight = lambda group: weight
    with pytest.raises(ValueError, match=rf"group weight of reward 'a': got {weight}"):
        score_group(group, 0, {"a": reward}, {"a": 1.0})


@pytest.mark.parametrize("metrics", [None, {"a": None}, {"a": math.nan}, {1: 1.0}, [1.0]])
def test_what_a_reward_measures_is_numbers(metrics):
    reward: Any = constant(1.0, 0.0)
    reward.group_metrics = lambda group: {"share": 1, "other": 0.5}
    group = make_unanswered("x", "y")
    scored = score_group(group, 0, {"a": reward, "b": constant(0.0, 0.0)}, {"a": 1.0, "b": 1.0})
    assert scored.measured == {"a": {"share": 1.0, "other": 0.5}}
    reward.group_metrics = lambda group: metrics
    with pytest.raises(ValueError, match="group metrics of reward 'a': got "):
        score_group(group, 0, {"a": reward}, {"a": 1.0})


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 0.0, 0.0]])
def test_a_reward_must_score_every_rollout(scores):
    with pytest.raises(ValueError, match=rf"reward 'a': got {len(scores)} values, .*\(2\)"):
        score_group(make_unanswered("x", "y"), 0, {"a": constant(*scores)}, {"a": 1.0})


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_counted(score):
    rewards: dict[str, Any] = {"a": constant(0.5, score, None), "b": constant(1.0, 1.0, 1.0)}
    group = make_unanswered("x", "y", "z")
    scored = score_group(group, 0, rewards, {"a": 1.0, "b": 1.0})
    assert scored.rewards["a"] == [0.5, None, None]
    assert scored.num_not_finite == {"a": 1}
    if score > 0 or score != score:
        rewards["b"].group_weight = lambda group: score
        scored = score_group(group, 0, rewards, {"a": 1.0, "b": 1.0})
        assert (scored.weight, scored.num_not_finite) == (0.0, {"a": 1, "b": 1})


@pytest.mark.parametrize("returned", [None, "ab", [1.0, "0.5"], 1.0])
def test_a_reward_that_breaks_its_contract_is_named(make_group, returned):
    with pytest.raises(ValueError, match="reward 'mine': got"):
        score_group(make_group(["1", "2"]), 0, {"mine": lambda group: returned}, {"mine": 1.0})


def test_texts_end_before_a_stop_string(tiny_tokenizer):
    ids = [
        tiny_tokenizer(text)["input_ids"] for text in (r"\boxed{2};3+", r"\boxed{2}", r"\boxed{3}")
    ]
    samples = [Sample(completion_ids=one, truncated=False) for one in ids]
    key = VisitKey("p", "0-0")
    group = scoring.make_group(key, "1+1=", samples, {0}, tiny_tokenizer, stop_strings=[";"])
    assert [r.completion for r in group.rollouts] == [r"\boxed{2}", r"\boxed{2}", r"\boxed{3}"]
    # The tokens that are trained are those that were sampled.
    assert group.rollouts[0].num_tokens == len(ids[0])
    assert classify_samples(samples, tiny_tokenizer, ["last_number"], stop_strings=[";"]) == [
        0,
        0,
        1,
    ]
    assert classify_samples(samples, tiny_tokenizer, ["last_number"]) == [0, 1, 0]


def test_a_reward_that_raises_or_ends_the_process_is_named():
    def divide(group):
        return [1 / 0]

    def leave(group):
        raise SystemExit(0)

    group = make_unanswered("x")
    for reward, words in ((divide, "ZeroDivisionError: division by zero"), (leave, "SystemExit")):
        with pytest.raises(InputError, match=rf"reward 'mine': got {words}.* at .*scoring.py:\d+"):
            score_group(group, 0, {"mine": reward}, {"mine": 1.0})


@pytest.mark.parametrize(
    "change",
    [
        lambda group: object.__setattr__(group, "rollouts", ()),
        lambda group: object.__setattr__(group.rollouts[1], "completion", "better"),
        lambda group: vars(group.rollouts[0]).update(num_tokens=0),
        lambda group: vars(group.rollouts[0].token_statistics).update(logps=(0.0,)),
        lambda group: vars(group).update(label="2"),
    ],
)
def test_a_reward_that_changes_the_group_is_named(change):
    numbers = (-1.0,)
    statistics = TokenStatistics(
        logps=numbers, entropies=numbers, self_certainties=numbers, in_answer=(False,)
    )
    group = make_unanswered("x", "y", num_tokens=1, token_statistics=statistics)

    def reward(group):
        change(group)
        return [0.0, 0.0]

    with pytest.raises(InputError, match="reward 'mine': got a changed group, expected it to be"):
        score_group(group, 0, {"mine": reward}, {"mine": 1.0})


def test_a_tensor_is_no_list_of_numbers():
    group = make_unanswered("x", "y")
    for returned, got in (
        (torch.zeros(2), "Tensor"),
        ([torch.zeros(1), 0.0], r"tensor\(\[0.\]\)"),
        (iter([0.0, 0.0]), "list_iterator"),
    ):
        with pytest.raises(InputError, match=f"reward 'mine': got {got}, expected a "):
            score_group(group, 0, {"mine": lambda group, r=returned: r}, {"mine": 1.0})


# What single rewards see of a group.


class Knowing:
    """Scores, votes and weighs by what it asked."""

    def __call__(self, group):
        return [float(len(group.asked))] * len(group.rollouts)

    def group_weight(self, group):
        return float(len(group.asked))


def test_each_reward_sees_what_it_asked_itself(make_group):
    group = make_group(["1", "2"])
    asked = Asked(key="a", prompt="1?", replies=())
    rewards = {"one": Knowing(), "two": Knowing()}
    seen = {"one": replace(group, asked=[asked, asked])}
    scored = score_group(group, 0, rewards, {"one": 1.0, "two": 1.0}, as_seen=seen)
    assert scored.rewards == {"one": [2.0, 2.0], "two": [0.0, 0.0]}
    assert scored.group_weights == {"one": 2.0, "two": 0.0}
    assert scored.group is group
