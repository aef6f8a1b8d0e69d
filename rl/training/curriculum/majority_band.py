"""A band of agreement: groups whose majority is too small, or too large, teach nothing."""

from dataclasses import dataclass

from rl.answers.votes import count_votes
from rl.errors import InputError
from rl.groups.scoring import ScoredGroup
from rl.settings import Count, Share, checked


@checked
@dataclass(frozen=True, kw_only=True)
class MajorityBand:
    """Train a group if the share of its leading answer is in a band, both ends included.

    low <= max_c |c| / G <= high

    With `num_tries` the places of the others are taken by further prompts.

    Source: EMPO, arXiv 2504.05812: questions whose semantic entropy is extreme are left out. Its
    code at QingyangZhang/EMPO@582a079, verl-empo/recipe/empo/src/dapo_ray_trainer.py, keeps a
    group by its largest reward, which is this share with the reward `semantic_entropy`; bounds 0.3
    and 1.0 and 10 tries in recipe/empo/scripts/run_empo_qwen2.5_math_7b.sh (at 3b7a8c6), where the
    filter is switched off. Ours: the paper's entropy is no majority, but its code has the latter;
    a completion without an answer is a class of its own there, and votes for nothing here; where
    the tries end too early, the code ends the run, and this trains what there is.

    Attributes:
        low: Least share of a group that teaches. A group without any answer has the share 0.
        high: Largest share. Below 1 it leaves out the unanimous groups, whose advantages are 0
            with rewards that are votes.
        num_tries: Most times that prompts are sampled for a batch; 1 refills nothing.
    """

    low: Share = 0.3
    high: Share = 1.0
    num_tries: Count = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError(
                f"curriculum.majority_band.low: got {self.low}, expected at most high "
                f"({self.high}). Lower it."
            )

    def teaches(self, scored: ScoredGroup) -> bool:
        """Say whether the group's majority lies in the band."""
        votes = count_votes([rollout.cluster for rollout in scored.group.rollouts])
        return self.low <= votes.majority_ratio <= self.high
