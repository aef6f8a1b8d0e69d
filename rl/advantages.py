"""From rewards to advantages: pure functions over groups, NaN marking a rollout without a reward.

All take rewards of shape (P, G), NaN = unscorable, and return advantages of the same shape. An
unscorable rollout gets exactly 0.0 and is in no mean, deviation or count. A group with fewer than
two scorable rollouts, or whose rewards are all equal, gets exactly 0.0 throughout.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def normalized_advantages(rewards: Tensor, epsilon: float = 1e-6) -> Tensor:
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


def _spread(rewards: Tensor) -> Tensor:
    infinity = float("inf")
    highest = rewards.nan_to_num(-infinity).amax(dim=1, keepdim=True)
    return highest - rewards.nan_to_num(infinity).amin(dim=1, keepdim=True)


ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "normalized": normalized_advantages,
    "centered": centered_advantages,
    "leave_one_out": leave_one_out_advantages,
}
