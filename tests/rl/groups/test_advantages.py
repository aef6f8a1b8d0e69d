"""Advantages against numbers derived by hand; groups without a signal come first."""

import math
from dataclasses import replace

import pytest
import torch

from rl.errors import InputError
from rl.groups.advantages import (
    ADVANTAGES,
    TrainedVotes,
    centered_advantages,
    clipped_advantages,
    disagreement_advantages,
    diversity_density_advantages,
    entropy_reshaped_advantages,
    get_advantage,
    leave_one_out_advantages,
    normalized_advantages,
    pass_at_k_advantages,
    reads_entropies,
    restrain_advantages,
)

NAN = math.nan
OF_VOTES = ("restrain", "diversity_density", "disagreement", "entropy_reshaped")
REWARD_RULES = {name: rule for name, rule in ADVANTAGES.items() if name not in OF_VOTES}
every_rule = pytest.mark.parametrize("rule", REWARD_RULES.values(), ids=REWARD_RULES)


@every_rule
@pytest.mark.parametrize(
    "rewards",
    [
        [1.0],  # a singleton
        [NAN, NAN, NAN],
        [NAN, 1.0, NAN],  # one scorable rollout
        [0.0, 0.0, 0.0],
        [1.0, 1.0, NAN],
        [0.1] * 7,  # the float32 mean of seven 0.1 is not 0.1
        [0.7] * 7,
    ],
)
def test_a_group_without_a_signal_gets_exactly_zero(rule, rewards):
    assert rule(torch.tensor([rewards])).tolist() == [[0.0] * len(rewards)]


@every_rule
def test_no_groups(rule):
    assert rule(torch.empty(0, 4)).shape == (0, 4)


def test_normalized_by_hand():
    # Mean 1/2, deviations 1/2; sample variance 4 * 1/4 / 3 = 1/3, so A = 1/2 * sqrt(3).
    found = normalized_advantages(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), epsilon=0.0)
    expected = math.sqrt(3) / 2
    assert found.tolist()[0] == pytest.approx([expected, -expected, -expected, expected])
    # Scorable rewards 1, 0, 0: mean 1/3; variance (4/9 + 1/9 + 1/9) / 2 = 1/3;
    # A = 2/3 * sqrt(3) and -1/3 * sqrt(3), and 0 for the unscorable one.
    found = normalized_advantages(torch.tensor([[1.0, NAN, 0.0, 0.0]]), epsilon=0.0)
    root = math.sqrt(3)
    assert found.tolist()[0] == pytest.approx([2 * root / 3, 0.0, -root / 3, -root / 3])


def test_epsilon_is_added_to_the_deviation():
    # Rewards 0 and 2: deviation sqrt(2), so A = 1 / (sqrt(2) + 1) with an epsilon of 1.
    found = normalized_advantages(torch.tensor([[0.0, 2.0]]), epsilon=1.0)
    assert found.tolist()[0] == pytest.approx([-1 / (math.sqrt(2) + 1), 1 / (math.sqrt(2) + 1)])
    # A difference of 1e-9 stays near nothing: 5e-10 / (7.1e-10 + 1e-6) = 5e-4.
    found = normalized_advantages(torch.tensor([[0.0, 1e-9]], dtype=torch.float64))
    assert found[0, 1].item() == pytest.approx(5e-4, rel=0.01)


def test_centered_by_hand():
    # Means 3 of (1, 2, 6) and 1/2 of (1, 0).
    rewards = torch.tensor([[1.0, 2.0, 6.0], [1.0, NAN, 0.0]])
    assert centered_advantages(rewards).tolist() == [[-2.0, -1.0, 3.0], [0.5, 0.0, -0.5]]


def test_leave_one_out_by_hand():
    # Others' means: 4, 3.5 and 1.5 for (1, 2, 6); 0 and 1 for (1, 0).
    rewards = torch.tensor([[1.0, 2.0, 6.0], [1.0, NAN, 0.0]])
    found = leave_one_out_advantages(rewards)
    assert found.tolist() == [pytest.approx([-3.0, -1.5, 4.5]), pytest.approx([1.0, 0.0, -1.0])]


@every_rule
def test_each_group_is_by_itself(rule):
    groups = [[1.0, 0.0, NAN, 3.0], [NAN] * 4, [5.0] * 4, [-2.0, 7.0, 7.0, 0.5]]
    together = rule(torch.tensor(groups))
    alone = [rule(torch.tensor([group]))[0] for group in groups]
    assert torch.equal(together, torch.stack(alone))


@every_rule
def test_scorable_rollouts_do_not_see_unscorable_ones(rule):
    with_gaps = rule(torch.tensor([[NAN, 1.0, NAN, 0.0, 4.0]]))[0]
    without = rule(torch.tensor([[1.0, 0.0, 4.0]]))[0]
    torch.testing.assert_close(with_gaps[[1, 3, 4]], without)
    assert with_gaps[[0, 2]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("rule", [rule for name, rule in REWARD_RULES.items() if name != "clipped"])
def test_advantages_sum_to_zero_and_leave_the_rewards_alone(rule):
    rewards = torch.randn(50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rewards[::3, 2] = NAN
    before = rewards.clone()
    found = rule(rewards)
    assert found.sum(dim=1).abs().max() < 1e-12
    assert found.dtype == torch.float64
    assert torch.equal(rewards.nan_to_num(), before.nan_to_num())
    # What a group earns on top does not matter, only the differences in it; a success of pass@k is
    # one by its own reward.
    if rule is not pass_at_k_advantages:
        torch.testing.assert_close(rule(rewards + 100.0), found)


# Pass@k.


def test_pass_at_2_by_hand():
    # One success of four: of the 6 pairs 3 hold it, mean 1/2, deviation 1/2. A success gets
    # (1 - 1/2) / (1/2) = 1. A failure is in 3 pairs, one with the success: (1/3 - 1/2) / (1/2).
    found = pass_at_k_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), k=2)
    assert found[0].tolist() == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])
    # The unscorable rollout is in no pair.
    found = pass_at_k_advantages(torch.tensor([[1.0, NAN, 0.0, 0.0, 0.0]]), k=2)
    assert found[0].tolist() == pytest.approx([1.0, 0.0, -1 / 3, -1 / 3, -1 / 3])


def test_pass_at_1_is_grpo_with_the_population_deviation():
    # Mean 1/4, deviation sqrt(3)/4: 3/4 over that is sqrt(3), -1/4 over it is -1/sqrt(3).
    found = pass_at_k_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), k=1)
    assert found[0].tolist() == pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3])


@pytest.mark.parametrize(
    "rewards", [[1.0, 1.0, 1.0, 0.0], [0.0] * 4, [1.0] * 4, [1.0, NAN, NAN, NAN], [NAN] * 4]
)
def test_pass_at_2_teaches_nothing_where_pairs_do_not_differ(rewards):
    # With fewer than two failures every pair holds a success.
    assert pass_at_k_advantages(torch.tensor([rewards]), k=2).tolist() == [[0.0] * 4]


# RESTRAIN.


def votes(clusters, majority_ratio=None):
    counts = {c: clusters.count(c) for c in clusters if c >= 0}
    shares = [counts.get(c, 0) / len(clusters) for c in clusters]
    ratio = max(shares) if majority_ratio is None else majority_ratio
    return TrainedVotes(
        clusters=torch.tensor([clusters]),
        shares=torch.tensor([shares]),
        majority_ratio=torch.tensor([ratio]),
    )


def restrain(clusters, rewards=None, **settings):
    rewards = torch.tensor([rewards or [0.0] * len(clusters)])
    return restrain_advantages(rewards, votes(clusters), **settings)[0].tolist()


def test_restrain_without_a_signal():
    assert restrain([0, 0, 0]) == [0.0] * 3
    assert restrain_advantages(torch.empty(0, 3), votes([0, 0, 0], 1.0)).shape == (0, 3)
    # Nobody answers: no agreement at all.
    assert restrain([-1, -1], penalty=0.5) == [-0.5, -0.5]


def test_restrain_by_hand():
    # Answers a, a, a, b: as labels a pays 1, 1, 1, 0 and b the opposite. Normalized with the sample
    # deviation 1/2: +-1/2 and -+3/2, so (1/2, 1/2, 1/2, -3/2) and its negative. Weights
    # (3/4)**2 = 9/16 and 1/16, divided by their sum: 0.9 and 0.1; together 0.8 of the first.
    found = restrain([0, 0, 0, 1], exponent=2.0)
    assert found == pytest.approx([0.4, 0.4, 0.4, -1.2], abs=1e-4)
    # Weighted by their votes, 0.75 and 0.25, half of the first is left.
    assert restrain([0, 0, 0, 1], exponent=1.0) == pytest.approx([0.25] * 3 + [-0.75], abs=1e-4)


def test_a_group_that_disagrees_is_punished():
    assert restrain([0, 1, 2, 3], threshold=0.3, penalty=0.7) == pytest.approx([-0.7] * 4)
    # At the threshold it is not: all labels weigh the same, and their advantages cancel.
    assert restrain([0, 1, 2, 3], threshold=0.25) == pytest.approx([0.0] * 4, abs=1e-6)


def test_restrain_looks_at_one_group_at_a_time():
    # Beside a group of eight answers, one of three: counts 3, 2, 1, all weighed alike by exponent
    # 0. As labels they pay r_a = 111000, r_b = 000110, r_c = 000001; sample deviations sqrt(.3),
    # sqrt(4/15), sqrt(1/6). A[a] = (.5/.5477 - (1/3)/.5164 - (1/6)/.4082) / 3 = -0.0470.
    three, eight = [0, 0, 0, 1, 1, 2, -1, -1], [*range(8)]
    together = TrainedVotes(
        **{
            name: torch.cat([getattr(votes(three), name), getattr(votes(eight), name)])
            for name in ("clusters", "shares", "majority_ratio")
        }
    )
    for settings in ({"exponent": 0.0}, {"exponent": 2.0}):
        found = restrain_advantages(torch.zeros(2, 8), together, **settings)
        assert found[0].tolist() == restrain(three, **settings)
    six = restrain([0, 0, 0, 1, 1, 2], exponent=0.0)
    assert six[0] == pytest.approx(-0.0470, abs=1e-4)


def test_restrain_punishes_silence_that_no_vote_pays():
    assert restrain([-1, -1, -1], [NAN] * 3, penalty=0.5) == [-0.5] * 3
    assert restrain([0, 1, 2, 3], [NAN] * 4, threshold=0.3) == [-1.0] * 4
    # A tie that the vote dropped is no disagreement: each answer is a label, and they cancel.
    assert restrain([0, 0, 1, 1], [NAN] * 4) == pytest.approx([0.0] * 4, abs=1e-6)


def test_unscorable_rollouts_get_nothing_from_restrain():
    assert restrain([0, 1, -1], [0.0, 0.0, NAN], threshold=0.9)[2] == 0.0
    # Scorable are a, a, b: as for normalized advantages of 1, 1, 0, twice, with opposite signs.
    found = restrain([0, 0, 1, 0], [1.0, 1.0, 0.0, NAN], exponent=50.0)
    root = math.sqrt(3)
    assert found == pytest.approx([root / 3, root / 3, -2 * root / 3, 0.0], abs=1e-4)


# ETTRL.


def reshaped(rewards, entropies):
    found = entropy_reshaped_advantages(torch.tensor([rewards]), torch.tensor([entropies]))
    return found[0].tolist()


def test_reshaping_without_a_signal():
    assert reshaped([1.0, 1.0], [0.2, 0.4]) == [0.0, 0.0]
    assert reshaped([1.0, NAN], [0.2, NAN]) == [0.0, 0.0]
    assert entropy_reshaped_advantages(torch.empty(0, 2), torch.empty(0, 2)).shape == (0, 2)


def test_reshaping_by_hand():
    # Rewards 1, 0: mean 1/2, sample deviation sqrt(1/2), so +-sqrt(1/2). Mean entropy 0.4: the
    # first, at 0.2, is weighed with 1 + 0.2 / 0.4 = 3/2; the second, at 0.6, with 1/2.
    root = math.sqrt(0.5)
    assert reshaped([1.0, 0.0], [0.2, 0.6]) == pytest.approx([1.5 * root, -0.5 * root], abs=1e-4)
    # More than twice the mean, 0.3 of 0.1: the factor is -1.
    found = reshaped([1.0, 0.0, 1.0, 0.0], [0.3, 0.0, 0.1, 0.0])
    assert (found[0] < 0, found[2] > 0) == (True, True)
    # Nobody is unsure: nothing is reshaped.
    assert reshaped([1.0, 0.0], [0.0, 0.0]) == pytest.approx([root, -root], abs=1e-4)


def test_an_unscorable_rollout_s_entropy_is_in_no_mean():
    beside = reshaped([1.0, 0.0, NAN], [0.2, 0.6, 9.0])
    assert beside == [*reshaped([1.0, 0.0], [0.2, 0.6]), 0.0]


def test_clipping_by_hand():
    # Of nine one is right: (8/9) / sqrt(1/9) = 2.667, and -1/9 / (1/3) = -0.333.
    rewards = torch.tensor([[1.0, *[0.0] * 8]])
    assert clipped_advantages(rewards)[0, 0].item() == 2.0
    assert clipped_advantages(rewards)[0, 1].item() == pytest.approx(-1 / 3, abs=1e-4)
    assert clipped_advantages(rewards, limit=0.25)[0].tolist() == [0.25, *[-0.25] * 8]


# By name.


def test_a_rule_that_reads_entropies():
    rewards, group = torch.tensor([[1.0, 0.0]]), votes([0, 1])
    group = replace(group, entropies=torch.tensor([[0.2, 0.6]]))
    found = get_advantage("entropy_reshaped")(rewards, group)
    assert found.equal(entropy_reshaped_advantages(rewards, torch.tensor([[0.2, 0.6]])))
    assert reads_entropies({"entropy_reshaped": None})
    assert not reads_entropies("normalized")
    assert not reads_entropies({"restrain": {}})


def test_a_rule_by_name():
    rewards, group = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), votes([0, 0, 0, 1])
    assert get_advantage("centered")(rewards, group).equal(centered_advantages(rewards))
    found = get_advantage({"pass_at_k": {"k": 2}})(rewards, group)
    assert found.equal(pass_at_k_advantages(rewards, k=2))
    found = get_advantage({"restrain": {"exponent": 1}})(rewards, group)
    assert found.equal(restrain_advantages(rewards, group, exponent=1))
    assert get_advantage({"normalized": None})(rewards, group)[0, 0] > 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("centred", "advantage: got 'centred', .*'centered'"),
        ({}, "advantage: got 0 names"),
        ({"centered": {}, "restrain": {}}, "advantage: got 2 names"),
        ({"pass_at_k": {"n": 2}}, "setting of advantage.pass_at_k: got 'n'"),
        ({"restrain": {"votes": 2}}, "setting of advantage.restrain: got 'votes'"),
        ({"pass_at_k": {"k": "x"}}, "advantage.pass_at_k.k: got 'x', expected a valid integer"),
        ({"pass_at_k": {"k": True}}, "advantage.pass_at_k.k: got True, expected a number"),
    ],
)
def test_a_wrong_rule(chosen, message):
    with pytest.raises(InputError, match=message):
        get_advantage(chosen)


def diversity(clusters, rewards=None, **settings):
    rewards = torch.zeros(1, len(clusters)) if rewards is None else torch.tensor([rewards])
    found = diversity_density_advantages(rewards, votes(clusters), hybrid=False, **settings)
    return found[0].tolist()


def test_diversity_without_a_signal():
    assert diversity([0]) == [0.0]
    assert diversity([0, 0, 0]) == [0.0] * 3
    assert diversity([0, 1, 2]) == [0.0] * 3
    assert diversity([-1, -1]) == [0.0] * 2
    assert diversity([0, 1, 1], k=1) == [0.0] * 3  # one answer of one drawn, whoever it is
    assert diversity([0, 0, 1], [NAN] * 3) == [0.0] * 3
    assert diversity([0, 0, 1], [NAN, NAN, 1.0]) == [0.0] * 3


def test_rare_answers_make_a_draw_diverse():
    # Four rollouts, s = 3 and 1, k = 2. Beside one of the three: the rare one joins with 1/3, so
    # R = (1 + 1/3) / 2 = 2/3. Beside the rare one: always another answer, R = 1. Mean 3/4,
    # deviations -1/12 and 1/4, variance (3/144 + 1/16) / 4 = 1/48: -0.57735 and 1.73205.
    found = diversity([0, 0, 0, 1], k=2)
    assert found == pytest.approx([-0.57735] * 3 + [1.73205], abs=1e-3)
    # An unscorable rollout is not there; more than there are cannot be drawn.
    found = diversity([0, 0, 0, 1, 1], [0.0, 0.0, 0.0, 0.0, NAN], k=2)
    assert found == pytest.approx([-0.57735] * 3 + [1.73205, 0.0], abs=1e-3)
    assert diversity([0, 0, 1], k=8) == [0.0] * 3  # all are drawn: both answers, always


def test_no_answer_makes_no_draw_diverse():
    # k = 2 of (0, 0, none): beside none a 0 comes for sure: R = 1/2. Beside a 0: itself alone, 1/2.
    assert diversity([0, 0, -1], k=2) == [0.0] * 3
    # (0, 1, none): beside none one answer, R = 1/2; beside an answer the other one with 1/2: 3/4.
    # Mean 2/3, variance 1/72: 0.70711 and -1.41421.
    assert diversity([0, 1, -1], k=2) == pytest.approx([0.70711] * 2 + [-1.41421], abs=1e-3)


def test_the_more_a_group_agrees_the_more_its_vote_counts():
    rewards, found = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), votes([0, 0, 0, 1])
    alone = diversity_density_advantages(rewards, found, k=1, hybrid=False)
    assert alone.abs().max() == 0.0
    # k = 1 pays no diversity; the pass@1 part counts by the majority ratio, 3/4.
    mixed = diversity_density_advantages(rewards, found, k=1)
    torch.testing.assert_close(mixed, 0.75 * pass_at_k_advantages(rewards, 1))
    mixed = diversity_density_advantages(rewards, found, k=2)
    diverse = diversity_density_advantages(rewards, found, k=2, hybrid=False)
    torch.testing.assert_close(mixed, 0.25 * diverse + 0.75 * pass_at_k_advantages(rewards, 2))


def test_who_agrees_is_not_punished():
    def punished(clusters, rewards, **settings):
        found = disagreement_advantages(torch.tensor([rewards]), votes(clusters), **settings)
        return found[0].tolist()

    assert punished([0, 0], [1.0, 1.0]) == [0.0, 0.0]
    assert punished([-1, -1], [NAN, NAN]) == [0.0, 0.0]
    # m = 3/4: (0 - 3/4) / sqrt(3/16) = -sqrt(3); who has no answer disagrees, too.
    exact = {"weight": 1.0, "epsilon": 0.0}
    found = punished([0, 0, 0, -1], [1.0, 1.0, 1.0, 0.0], **exact)
    assert found == pytest.approx([0.0, 0.0, 0.0, -(3**0.5)])
    # m = 1/2 of four: -1, a tenth of it by default; what cannot be scored has none.
    assert punished([0, 0, 1, 2], [1.0, 1.0, 0.0, NAN]) == pytest.approx([0, 0, -0.1, 0], abs=1e-5)
    # With half a vote's pay, what agrees would be below the majority's 3/4, and be punished.
    with pytest.raises(InputError, match=r"disagreement: got the reward 0.5, expected 0 or 1"):
        punished([0, 0, 1, 0], [0.5, 0.5, 0.0, NAN])
