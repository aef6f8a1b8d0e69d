"""Advantages of the roles: within a group of answers or judgments, over a batch of questions.

Source: SPELL, arXiv 2509.23863, equations 8 and 9. The standard deviation is the sample's, as in
the authors' code.
"""

from collections.abc import Hashable, Sequence
from statistics import stdev

import torch

from rl.groups.advantages import normalized_advantages


def group_advantages(rewards: Sequence[float], epsilon: float = 1e-6) -> list[float]:
    """A_i = (r_i - mean) / (std + epsilon) within one group, as `normalized_advantages` has it.

    Args:
        rewards: Rewards of one group.
        epsilon: Added to the deviation.

    Returns:
        Advantages, 0.0 in a group of equal rewards and for a single one.

    Example:
        >>> [round(a, 4) for a in group_advantages([1.0, 0.0, 0.0, 0.0])]
        [1.5, -0.5, -0.5, -0.5]
    """
    if not rewards:
        return []
    group = torch.tensor([rewards], dtype=torch.float64)
    return normalized_advantages(group, epsilon)[0].tolist()


def batch_advantages(
    rewards: Sequence[float],
    tasks: Sequence[Hashable] | None = None,
    *,
    min_std: float = 1e-3,
    epsilon: float = 1e-6,
) -> list[float | None]:
    """A_i = (r_i - mean_B) / (std_B + epsilon) over a batch of questions, one reward each.

    Args:
        rewards: Rewards of all questions that are trained.
        tasks: Task of each: then mean and deviation are each task's own, as in the authors' code;
            None: over all, as in the paper.
        min_std: A batch (or a task in it) that deviates less teaches nothing.
        epsilon: As above.

    Returns:
        Advantages; None where the deviation is below `min_std`, and for a single reward.
    """
    labels = [None] * len(rewards) if tasks is None else list(tasks)
    advantages: list[float | None] = [None] * len(rewards)
    for label in dict.fromkeys(labels):
        members = [i for i, other in enumerate(labels) if other == label]
        own = [rewards[i] for i in members]
        if len(own) > 1 and stdev(own) >= min_std:
            for i, advantage in zip(members, group_advantages(own, epsilon), strict=True):
                advantages[i] = advantage
    return advantages
