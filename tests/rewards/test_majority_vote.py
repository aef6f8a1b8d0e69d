"""TTRL's reward in its three readings; every group counted by hand."""

import pickle

import pytest

from rewards.majority_vote import MajorityVote
from rl.answers import cluster_answers
from rl.errors import InputError
from rl.types import Group, Rollout


def make_group(answers: list[str | None], with_clusters: bool = True) -> Group:
    clusters = cluster_answers(answers) if with_clusters else [None] * len(answers)
    return Group(
        prompt_id="p",
        prompt="1+1=",
        rollouts=tuple(
            Rollout(completion=answer or "", answer=answer, cluster=cluster, trained=index % 2 == 0)
            for index, (answer, cluster) in enumerate(zip(answers, clusters, strict=True))
        ),
    )


HALVES = ["0.5"] * 3 + [r"\frac12"] * 3 + ["7"] * 4
SILENT = [None] * 5 + ["3"] * 3


@pytest.mark.parametrize("with_clusters", [True, False])
def test_default_votes_over_classes(with_clusters):
    # Six halves beat four sevens.
    assert MajorityVote()(make_group(HALVES, with_clusters)) == [1.0] * 6 + [0.0] * 4
    # No answer abstains: three threes win against five silent rollouts, which get 0.0.
    assert MajorityVote()(make_group(SILENT, with_clusters)) == [0.0] * 5 + [1.0] * 3


@pytest.mark.parametrize("preset", ["default", "paper", "reference_code"])
def test_degenerate_groups(preset):
    reward = MajorityVote(preset=preset)
    assert reward(make_group(["2"])) == [1.0]
    assert reward(make_group(["2", "2", "2"])) == [1.0, 1.0, 1.0]
    # All different: the first is the pseudo-label.
    assert reward(make_group(["2", "3", "4"])) == [1.0, 0.0, 0.0]
    assert reward(make_group(["3", "4", "3", "4"])) == [1.0, 0.0, 1.0, 0.0]
    assert reward(make_group(["4", "3", "3", "4"])) == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_without_a_pseudo_label_nothing_is_scored(preset):
    assert MajorityVote(preset=preset)(make_group([None, None])) == [None, None]
    assert MajorityVote(preset=preset, tie="drop")(make_group(["3", "4", None])) == [None] * 3
    # Third place may be tied.
    dropped = MajorityVote(preset=preset, tie="drop")(make_group(["3", "3", "4", None]))
    assert dropped == [1.0, 1.0, 0.0, 0.0]


def test_paper_compares_strings():
    # 3 + 3 + 4 strings: the sevens win, and no half is paid.
    assert MajorityVote(preset="paper")(make_group(HALVES)) == [0.0] * 6 + [1.0] * 4
    assert MajorityVote(preset="paper")(make_group(SILENT)) == [0.0] * 5 + [1.0] * 3
    assert MajorityVote(preset="paper")(make_group(["2", "2.0", "2"])) == [1.0, 0.0, 1.0]


def test_reference_code_lets_the_empty_answer_win():
    reward = MajorityVote(preset="reference_code")
    assert reward(make_group(SILENT)) == [1.0] * 5 + [0.0] * 3
    assert reward(make_group([None, None])) == [1.0, 1.0]


def test_reference_code_votes_over_strings_and_pays_equal_answers():
    reward = MajorityVote(preset="reference_code")
    assert reward(make_group(HALVES)) == [0.0] * 6 + [1.0] * 4
    # 0.5 wins with 3 of 7 strings; both spellings of one half are paid.
    answers = ["0.5"] * 3 + [r"\frac12"] * 2 + ["7"] * 2
    assert reward(make_group(answers)) == [1.0] * 5 + [0.0] * 2
    # Normalisation comes before the vote: $7$ and 7. are one string.
    assert reward(make_group(["5", "$7$", "7."])) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("answers", "label"),
    [
        (["1/2", "1/2", r"\frac{1}{2}", r"\frac{1}{2}"], r"\frac{1}{2}"),
        (["142.0", "142.0", "142", "142"], "142"),
        (["x=3", "x=3", "3", "3"], "3"),
        ([r"90^\circ", r"90^\circ", "90", "90"], "90"),
    ],
)
def test_reference_code_normalises_as_the_code_does(answers, label):
    # Four of one spelling against three sevens, where the answers as written are two against three.
    group = make_group([*answers, "7", "7", "7"])
    reward = MajorityVote(preset="reference_code")
    assert reward(group) == [1.0] * 4 + [0.0] * 3
    assert reward.vote(group).pseudo_label == label
    assert reward.vote(group).vote.counts == {0: 4, 1: 3}


def test_settings_are_checked_and_pickled():
    with pytest.raises(InputError, match=r"got 'papr', expected .* Did you mean 'paper'"):
        MajorityVote(preset="papr")
    with pytest.raises(InputError, match=r"got 'last', expected 'first' or 'drop'"):
        MajorityVote(tie="last")
    reward = MajorityVote(preset="paper", tie="drop")
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_group_order_only_permutes_the_rewards_when_there_is_no_tie():
    rewards = MajorityVote()(make_group(HALVES))
    assert MajorityVote()(make_group(HALVES[::-1])) == rewards[::-1]
