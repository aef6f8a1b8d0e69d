"""Correctness as a reward: the supervised control, which pays for answers equal to the label.

Source: reinforcement learning with verifiable rewards as in DeepSeek-R1, arXiv 2501.12948, section
    2.2 (accuracy reward).
Differs: answers are compared by our own rules; no format reward.
Fails when: labels are wrong, or a right answer is written in a form our rules do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from rl.answers import group_clusters, same_answer
from rl.answers.votes import GroupVote, count_votes
from rl.types import Group


@dataclass(frozen=True, kw_only=True)
class Correctness:
    """Pay 1.0 for the label's answer and 0.0 for any other, no answer among them.

    r_i = 1 if answer_i = label else 0

    It sees labels: a run must say that it is supervised, and no result of it is label-free.
    """

    sees_labels: ClassVar[bool] = True

    _labels: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Take the labels, {prompt_id: label}, in place of any it had."""
        self._labels.clear()
        self._labels.update(labels)

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `prompt_id`, `cluster` and `answer`.

        Returns:
            One reward per rollout, in {0.0, 1.0}. All None if the prompt has no label.
        """
        label = self._labels.get(group.prompt_id)
        if label is None:
            return [None] * len(group.rollouts)
        return [float(is_correct) for is_correct in grade(group, label)]

    def vote(self, group: Group) -> GroupVote:
        """Return the plain vote, with the label and whom it selects in the winner's place."""
        return overruled_vote(group, self._labels.get(group.prompt_id))


def overruled_vote(group: Group, label: str | None) -> GroupVote:
    """Return the plain vote, with a label in the winner's place; None selects nobody."""
    is_right = [False] * len(group.rollouts) if label is None else grade(group, label)
    return GroupVote(
        vote=count_votes(group_clusters(group)), pseudo_label=label, selected=tuple(is_right)
    )


def grade(group: Group, label: str) -> list[bool]:
    """Tell of each rollout whether its answer is the label's; one comparison per class.

    Args:
        group: Rollouts of one prompt. If no rollout has a cluster but some have answers, the
            clusters are computed.
        label: The right answer.

    Returns:
        One verdict per rollout; False for no answer.
    """
    clusters = group_clusters(group)
    verdicts: dict[int, bool] = {}
    for cluster, rollout in zip(clusters, group.rollouts, strict=True):
        if cluster is not None and cluster not in verdicts:
            verdicts[cluster] = same_answer(rollout.answer, label)
    return [cluster is not None and verdicts[cluster] for cluster in clusters]
