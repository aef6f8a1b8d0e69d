"""Rewards of SPELL's verifier and responder: a vote over judgments, and agreement with it.

Source: SPELL: Self-Play Reinforcement Learning for Evolving Long-Context Language Models, arXiv
    2509.23863, equations 4 to 6. Reference code: Tongyi-Zhiwen/Qwen-Doc, folder SPELL.
Differs: from the code, which takes the most common of YES, NO and malformed, of equally common ones
    the first, and reads YES without brackets too. The paper is followed: YES needs more than half
    of all judgments, so that a tie is NO and a malformed judgment is none for YES.
Fails when: questioner, responder and verifier agree on a wrong reference answer; max() can only add
    false positives. Watch the canaries (`rl.selfplay.spell.canaries`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.selfplay.questioner import Penalty
from rl.answers import after_thought
from rl.settings import checked

_VERDICT = re.compile(r"\[(YES|NO)\]")


def read_verdict(text: str) -> int | None:
    """Read a judgment: 1 for [YES], 0 for [NO], None for neither or both.

    Only what follows a closed thought counts; letters must be capitals and brackets square.

    Example:
        >>> read_verdict("<think>[NO]?</think>Equal. [YES]"), read_verdict("[YES] or [NO]")
        (1, None)
    """
    found = set(_VERDICT.findall(after_thought(text)))
    if len(found) != 1:
        return None
    return int(found == {"YES"})


def majority_verdict(verdicts: Sequence[int | None]) -> int | None:
    """Vote over the G judgments of one answer.

    v = 1 if #YES > G / 2 else 0

    Source: SPELL, equation 4.

    Args:
        verdicts: 1, 0 or None (malformed), one per judgment; all of them count in G.

    Returns:
        1 or 0; a tie is 0. None of no judgments: then the rule check stands.
    """
    if not verdicts:
        return None
    return int(verdicts.count(1) > len(verdicts) / 2)


@checked
@dataclass(frozen=True, kw_only=True)
class VerifierVote:
    """What judgments are worth, and what they make of the responder's reward.

    Attributes:
        malformed: Reward of a judgment that is neither YES nor NO.
    """

    malformed: Penalty = -1.0

    def read(self, text: str) -> int | None:
        """Read a judgment, as `read_verdict`."""
        return read_verdict(text)

    def majority(self, verdicts: Sequence[int | None]) -> int | None:
        """Vote, as `majority_verdict`."""
        return majority_verdict(verdicts)

    def responder_reward(self, rule: float, verdict: int | None) -> float:
        """Reward of an answer: max(rule, verdict); the rule alone without a verdict.

        Args:
            rule: What the rule check says, 0.0 or 1.0.
            verdict: What the vote says.
        """
        return rule if verdict is None else max(rule, float(verdict))

    def judgment_rewards(
        self, verdicts: Sequence[int | None], verdict: int | None
    ) -> list[float | None]:
        """Reward of each judgment: r_j = 1 if v_j = v else 0; `malformed` for a malformed one.

        Args:
            verdicts: The judgments.
            verdict: Their vote.

        Returns:
            One reward per judgment; None for a valid one where there is no vote.
        """
        return [
            self.malformed
            if given is None
            else None
            if verdict is None
            else float(given == verdict)
            for given in verdicts
        ]
