"""From rewards to advantages: pure functions over groups, NaN marking a rollout without a reward.

All take rewards of shape (P, G), NaN = unscorable, and return advantages of the same shape; what a
group gets depends on that group alone. Unless a function says otherwise, an unscorable rollout gets
exactly 0.0 and is in no mean, deviation or count, and a group with fewer than two scorable
rollouts, or whose rewards are all equal, gets exactly 0.0 throughout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from math import comb, sqrt
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from rl.errors import InputError
from rl.plugins import Contract, find
from rl.settings import Share, check_settings


@dataclass(frozen=True, kw_only=True)
class TrainedVotes:
    """How the trained rollouts of P prompts, G each, voted.

    Attributes:
        clusters: Class of each trained rollout's answer in its group, -1 = no answer, (P, G).
        shares: Share of all votes of the prompt, trained or not, that went to the rollout's class;
            0.0 without an answer, (P, G).
        majority_ratio: Share of all votes that went to the leading class, (P,).
        entropies: Mean entropy of each trained rollout's tokens, in nats, (P, G); NaN where it was
            not measured, None for nowhere.
    """

    clusters: Tensor
    shares: Tensor
    majority_ratio: Tensor
    entropies: Tensor | None = None


def normalized_advantages(rewards: Tensor, epsilon: NonNegativeFloat = 1e-6) -> Tensor:
    """Subtract each group's mean and divide by its sample standard deviation.

    A[p, g] = (r[p, g] - mean_g r[p, g]) / (std_g r[p, g] + epsilon), std with n - 1

    Source: GRPO, arXiv 2402.03300, section 4.1.2; epsilon as in verl, the host of TTRL's code.
    Differs: n counts scorable rollouts only.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        epsilon: Added to the deviation; keeps tiny differences of reward from being blown up.

    Returns:
        Advantages in standard deviations, shape (P, G).
    """
    centered = centered_advantages(rewards)
    num_scorable = (~rewards.isnan()).sum(dim=1, keepdim=True)
    variance = centered.square().sum(dim=1, keepdim=True) / (num_scorable - 1).clamp(min=1)
    return centered / (variance.sqrt() + epsilon)


def centered_advantages(rewards: Tensor) -> Tensor:
    """Subtract each group's mean.

    A[p, g] = r[p, g] - mean_g r[p, g]

    Source: Dr. GRPO, arXiv 2503.20783, section 3.2. Differs: means skip unscorable rollouts.

    Args:
        rewards: Shape (P, G), NaN = unscorable.

    Returns:
        Advantages in units of reward, shape (P, G).
    """
    scorable = ~rewards.isnan()
    num_scorable = scorable.sum(dim=1, keepdim=True)
    known = rewards.nan_to_num(0.0)
    centered = known - known.sum(dim=1, keepdim=True) / num_scorable.clamp(min=1)
    # Equal rewards must give exactly zero, which the rounding of a mean does not.
    spread = _spread(rewards)
    return torch.where(scorable & (num_scorable > 1) & (spread > 0), centered, 0.0)


def leave_one_out_advantages(rewards: Tensor) -> Tensor:
    """Subtract from each reward the mean of the group's other rewards.

    A[p, g] = r[p, g] - mean_{h != g} r[p, h] = n / (n - 1) * (r[p, g] - mean_h r[p, h])

    Source: RLOO, arXiv 2402.14740, equation 8. Differs: n counts scorable rollouts only.

    Args:
        rewards: Shape (P, G), NaN = unscorable.

    Returns:
        Advantages in units of reward, shape (P, G).
    """
    num_scorable = (~rewards.isnan()).sum(dim=1, keepdim=True)
    return centered_advantages(rewards) * num_scorable / (num_scorable - 1).clamp(min=1)


def pass_at_k_advantages(rewards: Tensor, k: PositiveInt = 4, success: float = 0.5) -> Tensor:
    """Advantages under which the group is paid for any k of its rollouts containing a success.

    With n scorable rollouts, f failures among them and C the binomial coefficient:

        mean = 1 - C(f, k) / C(n, k)              success rate of the subsets of size k
        std  = sqrt(mean * (1 - mean))
        A[success] = (1 - mean) / std
        A[failure] = (1 - C(f - 1, k - 1) / C(n - 1, k - 1) - mean) / std

    A failure is not punished for itself: it gets the success rate of the subsets it is in.

    Source: Pass@k training, arXiv 2508.10751, section 2.3 (analytical derivation).
    Differs: n counts scorable rollouts only; rewards that are not binary are cut at `success`.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        k: Size of the subsets, at least 1; k = 1 is GRPO with the population deviation.
        success: Rewards above this are successes.

    Returns:
        Advantages in standard deviations, shape (P, G); 0.0 throughout where every subset succeeds
        (fewer than k failures), none does, or n < k.
    """
    advantages = torch.zeros_like(rewards)
    for p, group in enumerate(rewards):
        scorable, successes = ~group.isnan(), group > success  # NaN is above nothing
        n, num_failures = int(scorable.sum()), int((scorable & ~successes).sum())
        if n < k or num_failures < k or num_failures == n:
            continue
        mean = 1 - comb(num_failures, k) / comb(n, k)
        std = sqrt(mean * (1 - mean))
        failure = 1 - comb(num_failures - 1, k - 1) / comb(n - 1, k - 1)
        advantages[p, successes] = (1 - mean) / std
        advantages[p, scorable & ~successes] = (failure - mean) / std
    return advantages


def restrain_advantages(
    rewards: Tensor,
    votes: TrainedVotes,
    threshold: Share = 0.3,
    penalty: NonNegativeFloat = 1.0,
    exponent: NonNegativeFloat = 2.0,
) -> Tensor:
    """Let every answer be a pseudo-label, weighted by its votes; punish groups without agreement.

    With p[a] the share of votes of answer class a, and r_a[g] = 1 if rollout g answers a else 0:

        A[g] = sum_a w[a] * normalized(r_a)[g],  w[a] = p[a] ** exponent / sum_b p[b] ** exponent
        A[g] = -penalty                          where the majority ratio is below `threshold`

    Source: RESTRAIN, arXiv 2510.02172, section 3 (pseudo-label weighting, negative rollout
    penalization). Differs: the paper's prompt weights from the frozen base model are left out (a
    reward's `group_weight` could bring them); its weighting of shares is a power here; the
    constants are ours; the sum runs over the classes of trained rollouts. The values of rewards are
    not used: where only some rollouts of a group have one, the others are left out, and where none
    has, as a vote pays nobody in a group that is silent, all of them count.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        votes: Votes of the same rollouts.
        threshold: Majority ratio below which the whole group is punished, in [0, 1].
        penalty: Advantage of its rollouts, negated; at least 0.
        exponent: 1.0 weights answers by their votes; larger values approach the majority vote; 0.0
            weights all answers of the group alike.

    Returns:
        Advantages in standard deviations, shape (P, G). A group whose rollouts all give one answer
        gets 0.0 throughout; one in which nobody answers has a majority ratio of 0.0.
    """
    advantages = torch.zeros_like(rewards)
    total = torch.zeros_like(rewards[:, :1])
    scorable = ~rewards.isnan()
    scorable |= ~scorable.any(dim=1, keepdim=True)
    for label in votes.clusters[votes.clusters >= 0].unique():
        gives_label = votes.clusters == label
        # Classes are numbered per group, so this is another answer in each row, and none in some.
        share = (votes.shares * gives_label).amax(dim=1, keepdim=True)
        weight = torch.where(share > 0, share**exponent, 0.0)
        reward = torch.where(scorable, gives_label.to(rewards.dtype), torch.nan)
        advantages += weight * normalized_advantages(reward)
        total += weight
    advantages = advantages / total.clamp(min=torch.finfo(rewards.dtype).tiny)
    disagree = votes.majority_ratio[:, None] < threshold
    return torch.where(scorable & disagree, -penalty, advantages)


def diversity_density_advantages(
    rewards: Tensor, votes: TrainedVotes, k: PositiveInt = 8, hybrid: bool = True
) -> Tensor:
    """Pay answers that make a random part of the group diverse, the less the group agrees.

    Of n scorable rollouts k are drawn; they are paid (different answers among them) / k. With s[a]
    the rollouts that give answer a, and C the binomial coefficient:

        j[a] = 1 - C(n - 1 - s[a], k - 1) / C(n - 1, k - 1)
        R[g] = (1[g answers] + sum of j over the answers other than g's) / k
        D[g] = (R[g] - mean R) / sqrt(var R + 1e-6)
        A[g] = (1 - m) D[g] + m P[g],  m: majority ratio, P: `pass_at_k_advantages`

    R[g] is what a draw with rollout g in it is paid on average.

    Source: DIV-TTRL, shanjf666/DIV-TTRL-PR, README and an early version of
    verl/verl/trainer/ppo/core_algos.py (the file of later commits has P alone); no paper is known
    to us. k = 8 is its setting `diversity_density_k`. Differs: the code draws D or P for each
    rollout, with chance m for P; here it is the mean of both. A rollout without an answer adds none
    to a draw; in the code "no answer" is one more, and a rare, answer. Means and counts are those
    of scorable rollouts; where there are fewer than k, all are drawn.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        votes: Votes of the same rollouts.
        k: Rollouts of a draw, at least 1; 1 pays every answer alike.
        hybrid: Whether P has its part; False is D alone, which does not read the rewards' values.

    Returns:
        Advantages in standard deviations, shape (P, G). D is 0.0 throughout where R is equal.
    """
    advantages = torch.zeros_like(rewards)
    for p, clusters in enumerate(votes.clusters):
        scorable = (~rewards[p].isnan()).nonzero().flatten().tolist()
        n = len(scorable)
        if n < 2:
            continue
        answers = [int(clusters[g]) for g in scorable]
        counts = {a: answers.count(a) for a in set(answers) if a >= 0}
        drawn = min(k, n) - 1
        others = {a: max(0, n - 1 - s) for a, s in counts.items()}
        joins = {a: 1 - comb(num, drawn) / comb(n - 1, drawn) for a, num in others.items()}
        of_all = sum(joins.values())
        paid = torch.tensor(
            [(1 + of_all - joins[a] if a in joins else of_all) / (drawn + 1) for a in answers],
            dtype=torch.float64,
        )
        if paid.max() - paid.min() > 1e-9:  # less is rounding
            paid = (paid - paid.mean()) / (paid.var(correction=0) + 1e-6).sqrt()
            advantages[p, scorable] = paid.to(rewards.dtype)
    if not hybrid:
        return advantages
    agreement = votes.majority_ratio[:, None].to(rewards.dtype)
    return (1 - agreement) * advantages + agreement * pass_at_k_advantages(rewards, k)


def disagreement_advantages(
    rewards: Tensor,
    votes: TrainedVotes,
    weight: PositiveFloat = 0.1,
    epsilon: NonNegativeFloat = 1e-6,
) -> Tensor:
    """Punish rollouts that disagree with the majority, and leave those that agree alone.

    With m the share of all votes of the prompt that went to the leading answer, trained or not:

        A[g] = weight * min(0, (r[g] - m) / (sqrt(m (1 - m)) + epsilon)),  r[g] = 1 if it agrees

    That is -weight * sqrt(m / (1 - m)) for a rollout that disagrees: the larger the majority, the
    harder. What agrees is meant to be taught in another way (`loss_terms: {self_distillation}`).

    Source: the negative branch of TTPO, arXiv 2608.27448; ZJU-REAL/TTPO at 36326ed,
    TTPO/ttpo_trainer.py: the mean and the population deviation of all rollouts' votes, rl_weight
    0.1. Differs: a leading answer with a single vote counts as a pseudo-label; there it needs two,
    and otherwise nobody is punished; theirs is a mean over the tokens of each completion, here
    `loss_type` decides.

    Args:
        rewards: Of a vote alone, with weight 1: 0 or 1, shape (P, G), NaN = unscorable.
        votes: Votes of the same rollouts.
        weight: Factor, lambda.
        epsilon: Added to the deviation.

    Returns:
        At most 0.0, in standard deviations times the weight, shape (P, G); where all votes agree,
        or there is no pseudo-label, 0.0 throughout. A group of one rollout has an advantage too:
        its votes are those of the prompt.

    Raises:
        InputError: If a reward is another number, so that it does not say who agrees.
    """
    others = rewards[~rewards.isnan() & (rewards != 0) & (rewards != 1)]
    if len(others):
        raise InputError(
            f"advantage.disagreement: got the reward {others[0].item():g}, expected 0 or 1, as a "
            "vote pays. Name one vote alone, with weight 1, or choose another advantage."
        )
    m = votes.majority_ratio[:, None].to(rewards.dtype)
    advantages = (rewards.nan_to_num(1.0) - m) / ((m * (1 - m)).sqrt() + epsilon)
    return weight * torch.where(rewards.isnan() | (m >= 1), 0.0, advantages.clamp(max=0.0))


def entropy_reshaped_advantages(rewards: Tensor, entropies: Tensor) -> Tensor:
    """Let completions of low entropy teach more than those of high entropy (EAR, Adv-Res).

    A[p, g] = Y[p, g] normalized(r)[p, g],  Y[p, g] = 1 + (M[p] - H[p, g]) / M[p],
    M[p] = mean_g H[p, g]

    Source: ETTRL, arXiv 2508.11356, the relative-entropy form of its entropy-based advantage
    reshaping, as two summaries give it alike; the paper could not be read beyond its abstract. H is
    the mean entropy of a response's tokens. Differs: means are of the scorable rollouts among the
    trained ones of the group; what the paper averages over is not said in what we read. As in the
    formula, a response of more than twice the mean entropy has its advantage turned round.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        entropies: Mean entropy of the tokens of each rollout, in nats, at least 0, (P, G).

    Returns:
        Advantages in standard deviations times Y, shape (P, G); Y is 1 in a group whose entropies
        are all 0.
    """
    known = torch.where(rewards.isnan(), 0.0, entropies.to(rewards.dtype))
    mean = known.sum(dim=1, keepdim=True) / (~rewards.isnan()).sum(dim=1, keepdim=True).clamp(min=1)
    factor = torch.where(mean > 0, 1 + (mean - known) / mean, 1.0)
    return factor * normalized_advantages(rewards)


def clipped_advantages(rewards: Tensor, limit: PositiveFloat = 2.0) -> Tensor:
    """Cut normalized advantages off, so that a rare answer does not teach too much (EAR, Adv-Clip).

    A[p, g] = min(max(normalized(r)[p, g], -limit), limit)

    Source: ETTRL, arXiv 2508.11356, the other form of its advantage reshaping; 2 is its beta, as
    one summary gives it.

    Args:
        rewards: Shape (P, G), NaN = unscorable.
        limit: Largest advantage, above 0.

    Returns:
        Advantages in standard deviations, shape (P, G).
    """
    return normalized_advantages(rewards).clamp(-limit, limit)


def _spread(rewards: Tensor) -> Tensor:
    infinity = float("inf")
    highest = rewards.nan_to_num(-infinity).amax(dim=1, keepdim=True)
    return highest - rewards.nan_to_num(infinity).amin(dim=1, keepdim=True)


ADVANTAGES: dict[str, Callable[..., Tensor]] = {
    "normalized": normalized_advantages,
    "centered": centered_advantages,
    "leave_one_out": leave_one_out_advantages,
    "pass_at_k": pass_at_k_advantages,
    "restrain": restrain_advantages,
    "diversity_density": diversity_density_advantages,
    "disagreement": disagreement_advantages,
    "entropy_reshaped": entropy_reshaped_advantages,
    "clipped": clipped_advantages,
}

_CONTRACT = Contract(takes=("rewards",))


def get_advantage(
    chosen: str | Mapping[str, Mapping[str, Any] | None],
) -> Callable[[Tensor, TrainedVotes], Tensor]:
    """Build the advantage function a recipe names.

    Args:
        chosen: A key of `ADVANTAGES`, or a function of one's own as `rl.plugins` has it; or
            {name: settings} with that function's keyword arguments. One that has a parameter
            `votes` gets the votes too; one that has `entropies`, theirs.

    Returns:
        A function of rewards (P, G) and their votes.

    Raises:
        InputError: If the name or a setting is unknown, or a value breaks its rule.
    """
    named = {chosen: None} if isinstance(chosen, str) else dict(chosen)
    if len(named) != 1:
        raise InputError(
            f"advantage: got {len(named)} names, expected one. Write `advantage: NAME` or "
            "`advantage: {NAME: {setting: value}}`."
        )
    [(name, given)] = named.items()
    function = find(name, ADVANTAGES, "advantage", contract=_CONTRACT)
    inputs = ("rewards", "votes", "entropies")
    settings = check_settings(f"advantage.{name}", function, given or {}, filled_in=inputs)

    def advantage(rewards: Tensor, votes: TrainedVotes) -> Tensor:
        given = {"votes": votes, "entropies": votes.entropies}
        asked = {key: given[key] for key in given.keys() & signature(function).parameters.keys()}
        return function(rewards, **asked, **settings)

    return advantage


def reads_entropies(chosen: str | Mapping[str, Mapping[str, Any] | None]) -> bool:
    """Say whether the rule that `get_advantage` builds reads entropies, which must be measured."""
    name = chosen if isinstance(chosen, str) else next(iter(chosen))
    function = find(name, ADVANTAGES, "advantage", contract=_CONTRACT)
    return "entropies" in signature(function).parameters
