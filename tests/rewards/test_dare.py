"""DARE's distribution, bonus and pruning; every number by hand."""

import pytest

from rewards.dare import Dare, distribution_rewards
from rl.answers import cluster_answers
from rl.errors import InputError
from rl.types import Group, Rollout, TokenStatistics


def make_group(*rollouts: tuple[str | None, tuple[float, ...] | None]) -> Group:
    """Make a group from answers and token entropies; None is a rollout without statistics."""
    made = []
    clusters = cluster_answers([answer for answer, _ in rollouts])
    for (answer, entropies), cluster in zip(rollouts, clusters, strict=True):
        statistics = None
        if entropies is not None:
            zeros, no = (0.0,) * len(entropies), (False,) * len(entropies)
            statistics = TokenStatistics(
                logps=zeros, entropies=entropies, self_certainties=zeros, in_answer=no
            )
        made.append(
            Rollout(completion="", answer=answer, cluster=cluster, token_statistics=statistics)
        )
    return Group(prompt_id="p", prompt="1+1=", rollouts=tuple(made))


def test_degenerate_groups():
    assert Dare()(make_group()) == []
    assert Dare()(make_group((None, (0.5,)), (None, None))) == [None, None]
    assert Dare()(make_group(("2", None))) == [None]
    assert Dare()(make_group(("2", ()))) == [None]  # without tokens nothing is known
    # One answer: p = 1 and no bonus, as it is all of the group.
    assert Dare(alpha=1.0)(make_group(("2", (0.5,)), ("2.0", (0.1,)))) == pytest.approx([1.0, 1.0])
    # A certain answer, u = 0, takes all of the distribution.
    assert Dare(alpha=0.0, tau=0.0)(make_group(("2", (0.0,)), ("3", (0.5,)))) == pytest.approx(
        [1.0, 0.0], abs=1e-6
    )


def test_certain_answers_take_more():
    # n: 2, 1, one silent; u(3) = (0.4 + 0.8) / 2 = 0.6, u(2) = 0.2. Masses 2/0.6 = 10/3, 1/0.2 = 5:
    # p = 0.4 and 0.6. Bonus (M = 4): (1 - 2/4) * 0.4 = 0.2 and (1 - 1/4) * 0.8 = 0.6.
    group = make_group(("3", (0.3, 0.5)), ("2", (0.2,)), ("3", (0.8,)), (None, (0.1,)))
    assert Dare(alpha=0.0, tau=0.0)(group) == pytest.approx([0.4, 0.6, 0.4, 0.0])
    assert Dare(alpha=0.5, tau=0.0)(group) == pytest.approx([0.5, 0.9, 0.5, 0.0])
    found = Dare(alpha=0.5, tau=0.0).vote(group)
    assert (found.pseudo_label, found.selected) == ("2", (False, True, False, False))
    assert (found.vote.winner, found.vote.majority_ratio) == (1, 0.5)
    assert Dare().explain(group)[0] == {"uncertainty": pytest.approx(0.4)}


def test_pruned_answers_get_nothing_and_count_nowhere():
    # p = 6/10, 3/10, 1/10, all u = 0.5. Without the last: 2/3 and 1/3, M' = 9.
    rewards = distribution_rewards({0: 6, 1: 3, 2: 1}, dict.fromkeys(range(3), 0.5), 10, 0.5, 0.2)
    assert rewards == pytest.approx(
        {0: 2 / 3 + 0.5 * (1 / 3) * 0.5, 1: 1 / 3 + 0.5 * (2 / 3) * 0.5, 2: 0.0}
    )
    # A share of exactly tau stays; the likeliest answers stay whatever tau is.
    assert distribution_rewards({0: 1, 1: 1}, {0: 0.5, 1: 0.5}, 2, 0.0, 0.5) == {0: 0.5, 1: 0.5}
    assert distribution_rewards({0: 2, 1: 1}, {0: 0.5, 1: 0.5}, 3, 0.0, 1.0) == {0: 1.0, 1: 0.0}


def test_an_entropy_above_one_nat_costs():
    # u = 3 for both: b = (1 - 1/2)(1 - 3) = -1.
    assert Dare(alpha=0.1, tau=0.0)(make_group(("2", (3.0,)), ("3", (3.0,)))) == pytest.approx(
        [0.4, 0.4]
    )


def test_an_answer_without_statistics_is_not_scored():
    assert Dare(alpha=0.0)(make_group(("2", (0.5,)), ("2", None), (None, None))) == [1.0, None, 0.0]


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"Dare.alpha: got 2, expected at most 1"):
        Dare(alpha=2)
