r"""Teacher vote as a reward: pays for the answer that most of a teacher's completions agree on.

Source: Co-rewarding-II, arXiv 2508.00410, equation 10, where the teacher is a moving average of the
    policy (`teacher: {kind: ema}`); reference code: tmlr-group/Co-rewarding at 6c60ea4,
    Co-rewarding-II/verl/workers/reward_manager/co_rewarding_II.py. And SRT's fixed teacher, arXiv
    2505.21444, whose labels are made before training (`teacher: {kind: offline}`).
Differs: votes are cast for classes of equal answers, not for strings. Where the teacher gave no
    answer, the code pays everybody 0, and ours is None; neither teaches anything.
Fails when: the teacher's majority is confidently wrong; an average that follows too fast becomes a
    majority vote of the policy itself.
"""

from dataclasses import dataclass

from rl.answers.votes import GroupVote, TieRule, vote_over_classes
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class TeacherVote:
    """Pay 1.0 for the teacher's most common answer to the prompt, and 0.0 for any other.

    r_i = 1 if cluster_i = argmax_c |{j in teacher : cluster_j = c}| else 0

    Attributes:
        tie: "first": of several leading classes the one that appears first in the teacher's
            completions wins, as in the code; "drop": a tie has no pseudo-label.

    Example:
        >>> from rl.types import Rollout
        >>> def group(*clusters, **more):
        ...     rollouts = tuple(Rollout(completion="", answer=str(c), cluster=c) for c in clusters)
        ...     return Group(prompt_id="p", prompt="", rollouts=rollouts, **more)
        >>> TeacherVote()(group(0, 0, 1, teacher=group(1, 1, 0)))
        [0.0, 0.0, 1.0]
    """

    tie: TieRule = "first"

    needs_teacher = True

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of a prompt, with the teacher's in `teacher`.

        Returns:
            One reward per rollout, in {0.0, 1.0}; 0.0 without an answer. All None if the teacher
            gives no pseudo-label: there is none, it did not answer, or a tie was dropped.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the teacher's vote, and which of the group's rollouts agree with it."""
        theirs = group.teacher.rollouts if group.teacher is not None else ()
        return vote_over_classes(
            [rollout.answer for rollout in theirs],
            [rollout.cluster for rollout in theirs],
            self.tie,
            selects=[rollout.cluster for rollout in group.rollouts],
        )
