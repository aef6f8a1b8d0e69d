r"""Cross-view vote as a reward: what the other wordings of a problem agree on labels this one.

Source: Co-rewarding-I, arXiv 2508.00410; reference code: tmlr-group/Co-rewarding at 6c60ea4,
    Co-rewarding-I/verl/workers/reward_manager/co_reward.py, lines 68 to 89. The majority of the
    rephrased question's completions labels the original's, and the other way round.
Differs: votes are cast for classes of equal answers, not for strings. Where no sister answered, the
    code pays everybody 0, and ours is None; neither teaches anything. More than two wordings are
    ours: the completions of all the others vote together.
Fails when: every wording has the same wrong majority, which two wordings of one slip do.
"""

from dataclasses import dataclass

from rl.answers.votes import GroupVote, TieRule, vote_over_classes
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class CrossViewVote:
    """Pay 1.0 for the most common answer of the problem's other wordings, and 0.0 for any other.

    r_i = 1 if cluster_i = argmax_c |{j in sisters : cluster_j = c}| else 0

    Attributes:
        tie: "first": of several leading classes the one that appears first in the sisters wins, as
            in the code; "drop": a tie has no pseudo-label.

    Example:
        >>> from rl.types import Rollout
        >>> def view(number, *clusters):
        ...     rollouts = tuple(Rollout(completion="", answer=str(c), cluster=c) for c in clusters)
        ...     return Group(prompt_id="p", prompt="", view=number, rollouts=rollouts)
        >>> from dataclasses import replace
        >>> CrossViewVote()(replace(view(0, 0, 0, 1), views=(view(1, 1, 1, 0),)))
        [0.0, 0.0, 1.0]
    """

    tie: TieRule = "first"

    needs_views = True

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one wording, with those of the others in `views`.

        Returns:
            One reward per rollout, in {0.0, 1.0}; 0.0 without an answer. All None if the others
            give no pseudo-label: there are none, none of them answered, or a tie was dropped.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the vote of the other wordings, and which rollouts of this one agree with it."""
        others = [rollout for view in group.views for rollout in view.rollouts]
        return vote_over_classes(
            [rollout.answer for rollout in others],
            [rollout.cluster for rollout in others],
            self.tie,
            selects=[rollout.cluster for rollout in group.rollouts],
        )
