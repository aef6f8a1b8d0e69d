"""A random reward: the control that shows what training gains without any signal.

Source: Spurious Rewards, arXiv 2506.10947, section 3 (random reward, probability 0.5).
    Reference code: ruixin31/Spurious_Rewards.
Differs: drawn from a hash, so a group always gets the same rewards, on any number of ranks.
Fails when: never; it has no signal. What it gains comes from the algorithm or the model's habits.
"""

import hashlib
from dataclasses import dataclass

from rl.settings import Share, checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class RandomReward:
    """Pay 1.0 with a given probability, whatever the completion says.

    r_i = 1 if hash(seed, prompt id, visit, completion, copy number) < probability else 0

    The hash lies in [0, 1).

    The number of a completion among its equals in the group enters the hash, so copies of one
    completion are drawn independently.

    Attributes:
        probability: Chance of a reward of 1.0, in [0, 1].
        seed: Changes all draws.
    """

    probability: Share = 0.5
    seed: int = 0

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group: one reward per rollout, in {0.0, 1.0}, never None."""
        num_seen: dict[str, int] = {}
        rewards: list[float | None] = []
        for rollout in group.rollouts:
            copy = num_seen[rollout.completion] = num_seen.get(rollout.completion, -1) + 1
            parts = (self.seed, group.prompt_id, group.visit, rollout.completion, copy)
            text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
            draw = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64
            rewards.append(float(draw < self.probability))
        return rewards
