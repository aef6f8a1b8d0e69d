r"""Harmonic vote as a reward: pays for the answer that holds in every wording of a problem.

Source: Self-Harmony, arXiv 2511.01191: the label is the answer with the largest harmonic mean of
    its shares over the views; reference code: physicsru/self_harmony at fb1eb13,
    verl/workers/reward_manager/self_harmony.py, `harmonic_mean_score`, with the run's settings of
    math500.sh. For more than two views its README gives the same mean over all of them.
Differs: shares are of classes of equal answers. The code counts strings when it chooses the label
    and pays answers that are equivalent to it. It counts, we divide by the completions of a view,
    which is the same where all views have as many. A tie that its tie rule leaves is decided there
    by the order of a hash set, here by first appearance. Where no answer is in every view it pays
    everybody 0, and ours is None; neither teaches anything. Its coefficients of format and of
    diversity are set in math500.sh, but the function that reads them is not called at that commit.
Fails when: a wrong answer is common in every wording.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rl.answers.votes import GroupVote, TieRule, count_votes
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class HarmonicVote:
    """Pay 1.0 for the answer with the largest harmonic mean of its shares, 0.0 for any other.

    r_i = 1 if cluster_i = argmax_a V / sum_v 1 / p_v(a) else 0

    where p_v(a) is the share of answer a among the completions of view v of V; an answer that is
    missing in a view has a mean of 0 and is no label. All wordings have the same label.

    Attributes:
        tie: "first": of equal means the answer with most votes in all wins, as in the code, then
            the one that appears first; "drop": a tie has no pseudo-label.

    Example:
        >>> from rl.types import Rollout
        >>> def view(number, *clusters):
        ...     rollouts = tuple(Rollout(completion="", answer=str(c), cluster=c) for c in clusters)
        ...     return Group(prompt_id="p", prompt="", view=number, rollouts=rollouts)
        >>> group = replace(view(0, 0, 0, 0, 1, 1), views=(view(1, 1, 1, 1, 2, 0),))
        >>> HarmonicVote()(group)  # means: of 0 2 / (5/3 + 5), of 1 2 / (5/2 + 5/3)
        [0.0, 0.0, 0.0, 1.0, 1.0]
    """

    tie: TieRule = "first"

    needs_views = True

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one wording, with those of the others in `views`; without any, it is
                a majority vote.

        Returns:
            One reward per rollout, in {0.0, 1.0}; 0.0 without an answer. All None if there is no
            pseudo-label: no answer is in every wording, or a tie was dropped.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return this wording's own votes with the problem's label, and who agrees with it."""
        problem = [[rollout.cluster for rollout in view.rollouts] for view in group.problem]
        label, is_tie = harmonic_label(problem, self.tie)
        own = count_votes([rollout.cluster for rollout in group.rollouts])
        answers = {r.cluster: r.answer for r in reversed(group.rollouts)}
        return GroupVote(
            vote=replace(own, winner=label, is_tie=is_tie),
            pseudo_label=None if label is None else answers[label],
            selected=tuple(
                label is not None and rollout.cluster == label for rollout in group.rollouts
            ),
        )


def harmonic_label(
    views: Sequence[Sequence[int | None]], tie: TieRule = "first"
) -> tuple[int | None, bool]:
    """Choose the class with the largest harmonic mean of its shares.

    Args:
        views: For each view the class of each completion's answer, None for no answer.
        tie: See `HarmonicVote`.

    Returns:
        The class, None if none is in every view or a tie was dropped; and whether several have the
        largest mean.

    Example:
        >>> harmonic_label([[0, 0, 1], [1, 1, 0]])
        (0, True)
        >>> harmonic_label([[0, 0], [1, 1]])
        (None, False)
    """
    counts = [Counter(cluster for cluster in view if cluster is not None) for view in views]
    in_order = dict.fromkeys(cluster for view in views for cluster in view if cluster is not None)
    means = {
        cluster: len(views)
        / sum(
            Fraction(len(view), count[cluster]) for view, count in zip(views, counts, strict=True)
        )
        for cluster in in_order
        if all(count[cluster] for count in counts)
    }
    if not means:
        return None, False
    most = max(means.values())
    leaders = [cluster for cluster, mean in means.items() if mean == most]
    if len(leaders) > 1 and tie == "drop":
        return None, True
    # The first of those with most votes.
    label = max(leaders, key=lambda cluster: sum(count[cluster] for count in counts))
    return label, len(leaders) > 1
