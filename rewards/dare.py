r"""DARE: pays each answer its share of a certainty-weighed distribution, and a bonus for rare ones.

Source: Distribution-Aware Reward Estimation, arXiv 2601.21804, section 3. No code is public. We
    read its abstract and two public notes that quote its formulas, epsilon and baselines; its
    coefficients alpha and tau are in neither.
Differs: alpha = 0.1 and tau = 0.05 are ours. The note's sum in the denominator of the pruned
    distribution runs over rollouts; ours runs over answers, so that the pruned shares add up to 1
    and tau = 0 leaves the distribution as it was. Votes are cast for classes of equal answers; a
    rollout without an answer is in no class and gets 0.0, but counts in M, as it was sampled.
    Where tau would remove every answer the likeliest ones stay.
Fails when: answers that are wrong and rare are written with certainty, which the bonus pays; the
    majority is wrong and certain. An entropy above 1 nat makes the bonus negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import ClassVar

from rewards.token_entropy import TokenEntropy
from rl.answers import group_clusters
from rl.answers.votes import GroupVote, count_votes
from rl.settings import Share, checked
from rl.types import Group

EPSILON = 1e-8  # nats, the paper's


@checked
@dataclass(frozen=True, kw_only=True)
class Dare:
    """Pay an answer its share of the pruned distribution plus a bonus.

    u(a)  = mean over the rollouts with answer a of their mean token entropy, in nats
    p(a)  = (n(a) / (u(a) + epsilon)) / sum_b (n(b) / (u(b) + epsilon))
    p'(a) = p(a) / sum of p over the answers with p >= tau, if p(a) >= tau, else 0
    b'(a) = (1 - n(a) / M') (1 - u(a)),  M' = M less the rollouts whose answer was pruned
    r_i   = p'(a_i) + alpha b'(a_i), 0 for a pruned answer and for none

    n(a) counts the rollouts with answer a whose entropies are known, M all rollouts.

    Attributes:
        alpha: Coefficient of the bonus, in [0, 1]; 0 leaves it out.
        tau: Least share of an answer, in [0, 1]; 0 prunes nothing.
    """

    needs_token_statistics: ClassVar[bool] = True
    alpha: Share = 0.1
    tau: Share = 0.05

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster`, `answer` and `token_statistics`. If no
                rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, at most 1 + alpha. All None if there is no answer with token
            statistics; None for a rollout with an answer but without statistics.
        """
        clusters = group_clusters(group)
        uncertainties = _uncertainties(group)
        rewards = self._rewards_of_answers(clusters, uncertainties)
        if not rewards:
            return [None] * len(clusters)
        return [
            0.0 if cluster is None else (None if uncertainty is None else rewards[cluster])
            for cluster, uncertainty in zip(clusters, uncertainties, strict=True)
        ]

    def vote(self, group: Group) -> GroupVote:
        """Return the plain vote with the answer that is paid most in the winner's place."""
        clusters = group_clusters(group)
        rewards = self._rewards_of_answers(clusters, _uncertainties(group))
        winner = max(rewards, key=lambda answer: rewards[answer], default=None)
        answers = [rollout.answer for rollout in group.rollouts]
        return GroupVote(
            vote=replace(count_votes(clusters), winner=winner),
            pseudo_label=None if winner is None else answers[clusters.index(winner)],
            selected=tuple(c is not None and c == winner for c in clusters),
        )

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return the mean token entropy of each rollout, in nats."""
        return [{"uncertainty": value} for value in _uncertainties(group)]

    def _rewards_of_answers(
        self, clusters: list[int | None], uncertainties: list[float | None]
    ) -> dict[int, float]:
        by_answer: dict[int, list[float]] = {}
        for cluster, uncertainty in zip(clusters, uncertainties, strict=True):
            if cluster is not None and uncertainty is not None:
                by_answer.setdefault(cluster, []).append(uncertainty)
        counts = {answer: len(values) for answer, values in by_answer.items()}
        means = {answer: fmean(sorted(values)) for answer, values in by_answer.items()}
        return distribution_rewards(counts, means, len(clusters), self.alpha, self.tau)


def distribution_rewards(
    counts: Mapping[int, int],
    uncertainties: Mapping[int, float],
    num_rollouts: int,
    alpha: float,
    tau: float,
) -> dict[int, float]:
    """Compute what each answer is paid; the formulas are those of `Dare`.

    Args:
        counts: Answer -> its rollouts, at least 1.
        uncertainties: Answer -> its uncertainty, at least 0.
        num_rollouts: M.
        alpha: See `Dare`.
        tau: See `Dare`.

    Returns:
        Answer -> reward; empty without answers.

    Example:
        >>> rewards = distribution_rewards({0: 3, 1: 1}, {0: 0.5, 1: 0.5}, 4, alpha=0.2, tau=0.0)
        >>> {answer: round(reward, 6) for answer, reward in rewards.items()}
        {0: 0.775, 1: 0.325}
    """
    masses = {a: count / (uncertainties[a] + EPSILON) for a, count in counts.items()}
    total = sum(masses.values())
    shares = {answer: mass / total for answer, mass in masses.items()}
    least = min(tau, max(shares.values(), default=0.0))
    kept = {answer: share for answer, share in shares.items() if share >= least}
    mass_kept = sum(kept.values())
    num_kept = num_rollouts - sum(counts[answer] for answer in shares.keys() - kept.keys())
    rewards = dict.fromkeys(counts, 0.0)
    for answer, share in kept.items():
        bonus = (1 - counts[answer] / num_kept) * (1 - uncertainties[answer])
        rewards[answer] = share / mass_kept + alpha * bonus
    return rewards


def _uncertainties(group: Group) -> list[float | None]:
    return [None if value is None else -value for value in TokenEntropy()(group)]
