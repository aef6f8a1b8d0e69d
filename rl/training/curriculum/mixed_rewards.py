"""Dynamic sampling: groups of equal rewards teach nothing, and others take their places."""

from dataclasses import dataclass

from rl.groups.scoring import ScoredGroup
from rl.settings import Count, checked


@checked
@dataclass(frozen=True, kw_only=True)
class MixedRewards:
    """Train a group if the rewards of its trained rollouts differ.

    max_g r_g > min_g r_g   over the trained rollouts that have a reward

    Else every advantage that compares rollouts of a group is 0: with a vote, a unanimous group.

    Source: DAPO, arXiv 2503.14476, section 3.2, for rewards from labels: prompts are
    sampled until the batch is full of groups that are neither all right nor all wrong; 10 tries
    (`max_num_gen_batches`) in verl's recipe. Differs: a try asks for as many prompts as places are
    empty, where DAPO's samples a whole batch and throws away what is too much; at the end of an
    epoch, or of the tries, the batch is trained with the groups that there are.

    Attributes:
        num_tries: Most times that prompts are sampled for a batch; 1 refills nothing.
    """

    num_tries: Count = 10

    def teaches(self, scored: ScoredGroup) -> bool:
        """Say whether two of its trained rollouts have different rewards."""
        trained = zip(scored.group.rollouts, scored.reward, strict=True)
        known = [reward for rollout, reward in trained if rollout.trained and reward is not None]
        return len(set(known)) > 1
