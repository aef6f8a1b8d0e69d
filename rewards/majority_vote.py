r"""Majority vote as a reward: pays for the answer that most rollouts of the prompt agree on.

Source: TTRL: Test-Time Reinforcement Learning, arXiv 2504.16084, section 2.2 and appendix C.
    Reference code: PRIME-RL/TTRL, verl/verl/utils/reward_score/ttrl/ttt_metrics.py (first version).
Differs: votes are cast for classes of equal answers, not for strings; a rollout without an answer
    abstains, and without a pseudo-label nothing is scored. `preset="paper"` compares the extracted
    strings for vote and reward. `preset="reference_code"` counts strings as the code normalises
    them (`rewards.ttrl_normalization`), lets "no answer" win as the empty string, and pays every
    answer that is equal to the winning string; our equality stands in for the code's, which can
    hang.
Fails when: the majority is confidently wrong, or the policy gives one answer to every prompt.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from rewards.ttrl_normalization import normalize_answer
from rl.answers import group_clusters, same_answer
from rl.answers.votes import GroupVote, TieRule, vote_over_classes
from rl.settings import checked
from rl.types import Group

Preset = Literal["default", "paper", "reference_code"]


@checked
@dataclass(frozen=True, kw_only=True)
class MajorityVote:
    """Pay 1.0 for the group's most common answer and 0.0 for any other.

    r_i = 1 if cluster_i = argmax_c |{j : cluster_j = c}| else 0

    All rollouts vote and all are scored, trained or not.

    Attributes:
        preset: "default" votes over `Rollout.cluster`; "paper" and "reference_code" as described
            in the module.
        tie: "first": the class that appears first in the group wins a tie; "drop": a tie has no
            pseudo-label.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = [Rollout(completion="", answer=answer) for answer in ("2", "2.0", "3", None)]
        >>> MajorityVote()(Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts)))
        [1.0, 1.0, 0.0, 0.0]
    """

    preset: Preset = "default"
    tie: TieRule = "first"

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster` and `answer`. If no rollout has a cluster
                but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in {0.0, 1.0}. All None if there is no pseudo-label: nobody
            answered, or a tie was dropped.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the vote that is paid, in the preset's classes and with its tie rule."""
        answers = [rollout.answer for rollout in group.rollouts]
        if self.preset == "default":
            return vote_over_classes(answers, group_clusters(group), self.tie)
        if self.preset == "paper":
            return vote_over_classes(answers, _number(answers), self.tie)
        strings = [normalize_answer(answer or "") for answer in answers]
        found = vote_over_classes(strings, _number(strings), self.tie)
        label = found.pseudo_label
        paid = {text for text in set(strings) if text == label or same_answer(text, label)}
        return replace(found, selected=tuple(text in paid for text in strings))


def _number(values: Iterable[Hashable]) -> list[int | None]:
    """Number distinct values from 0 in order of first appearance; None stays None."""
    numbers: dict[Hashable, int] = {}
    return [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]
