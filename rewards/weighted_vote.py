"""Weighted vote as a reward: pays for the answer whose votes weigh most together.

Source: weighted self-consistency; by self-certainty: arXiv 2502.18581, section 4 ("sum" and
    Borda); by step confidence: SCOPE, arXiv 2512.15146, without its subgroups (`rewards.scope`).
    What weighs votes is in `rewards.vote_weights`, each with its source.
Differs: votes are cast for classes of equal answers; a rollout without an answer abstains.
Fails when: what weighs the votes has nothing to do with being right, or prefers a habit, such as
    short or repetitive text, which training then feeds. On saved completions of 7B models weights
    that run the completions' programs were better than the plain vote, and none from text alone
    was (recipes/studies/README.md, "Weighted votes").
"""

from dataclasses import dataclass, field
from typing import Any

from rewards.vote_weights import RemembersVotes, get_vote_weight
from rl.answers import group_clusters
from rl.answers.votes import GroupVote, TieRule, vote_over_classes
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(kw_only=True)
class WeightedVote(RemembersVotes):
    """Pay 1.0 for the answer whose votes weigh most and 0.0 for any other.

    r_i = 1 if cluster_i = argmax_c sum_{j : cluster_j = c} w_j else 0

    All rollouts vote and all are scored, trained or not.

    Attributes:
        by: What weighs a vote: a name in `rewards.vote_weights`, or your own as `file.py:name`;
            with settings as {name: {setting: value}}.
        tie: "first": the class that appears first in the group wins a tie; "drop": a tie has no
            pseudo-label.

    Example:
        >>> from rl.types import Rollout
        >>> texts = {"2 and on": "2", "3": "3", "or so 2": "2"}
        >>> rollouts = tuple(Rollout(completion=text, answer=a) for text, a in texts.items())
        >>> group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)
        >>> WeightedVote(by={"length": {"power": -1.0}})(group)
        [0.0, 1.0, 0.0]
    """

    by: str | dict[str, dict[str, Any] | None] = "borda"
    tie: TieRule = "first"
    _weigh: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._weigh = get_vote_weight(self.by, "rewards.weighted_vote.by")

    @property
    def needs_token_statistics(self) -> bool:
        """Whether the weights are made of token statistics."""
        return getattr(self._weigh, "needs_token_statistics", False)

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster` and `answer`, and what the weight reads.
                If no rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in {0.0, 1.0}. All None if there is no pseudo-label: no answer
            weighs anything, or a tie was dropped.

        Raises:
            InputError: If a weight is negative or not finite.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the vote that is paid."""
        answers = [rollout.answer for rollout in group.rollouts]
        return vote_over_classes(answers, group_clusters(group), self.tie, self._weigh(group))

    def group_metrics(self, group: Group) -> dict[str, float]:
        """Return what the weight measures of a group; nothing if it measures nothing."""
        return self._weigh.group_metrics(group) if hasattr(self._weigh, "group_metrics") else {}

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return the weight of each rollout's vote."""
        return [{"vote_weight": weight} for weight in self._weigh(group)]
