"""Tool-verified vote as a reward: pays for the answer whose votes, verified ones more, weigh most.

Source: T3RL, "Tool Verification for Test-Time Reinforcement Learning", arXiv 2603.02203: a verifier
    turns each rollout into Python code, an interpreter runs it, and a verified rollout votes with a
    weight omega >= 1 where others vote with 1; omega = 5 was best. Of its text the abstract and
    others' summaries were at hand, and no code or prompt was found.
Ours: the prompt, what is read of a reply (its last block marked python, which must be closed), that
    "verified" means an equal printed answer without a further judgment of the verifier, all limits.
Differs: the policy itself, as it is then, is the verifier; the paper's is an external model.
Fails when: the verifier is too weak to write code that runs, or copies the answer into a `print`:
    then right and wrong votes are verified alike, and this is the plain vote at a higher price. The
    paper says that too small a verifier hurts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rewards.candidates import SLOTS, Per, questions_about, shown_completions, shown_keys
from rewards.code_checks import Check, Omega, check_answers, check_metrics, python_blocks
from rl.answers import after_thought, group_clusters
from rl.answers.votes import GroupVote, TieRule, vote_over_classes
from rl.data.slots import check_slots
from rl.questions import Answered, Question
from rl.sandbox import require_sandbox
from rl.settings import Length, Positive, checked
from rl.types import Group

PROMPT = """\
Problem:
{{problem}}

A proposed solution:
{{solution}}

Check this solution with a program. Write one Python program, in a block that begins with \
```python and ends with ```, that carries out the steps of the solution anew: it computes every \
value from what the problem gives, copies no result from the solution, and prints the final answer \
alone in its last line. Print exact values: fractions and roots, not decimals. It may import math, \
fractions, sympy and numpy, reads no input, and runs for a few seconds at most."""
_WHAT = "rewards.tool_verified_vote.prompt"


@checked
@dataclass(frozen=True, kw_only=True)
class ToolVerifiedVote:
    """Pay 1.0 for the answer whose votes weigh most and 0.0 for any other.

    r_i = 1 if cluster_i = argmax_c sum_{j : cluster_j = c} w_j else 0
    w_j = omega if a program that the verifier made of rollout j prints answer_j, else 1

    What cannot be verified, since the verifier wrote no program, its program failed or ran out of
    time, or the question left no room for a reply, votes with 1. Programs run in `rl.sandbox`, on
    the rank that scores the group.

    Attributes:
        omega: At least 1; 1 is the plain vote.
        per: "completion": the verifier is asked about each different completion, as in the paper;
            "answer": about one completion of each answer, which speaks for all that gave it.
        max_program_tokens: Most tokens of the verifier's reply; None: max_completion_length.
        max_seconds: Wall-clock time of a program.
        max_group_seconds: Of all programs of a group, a few at a time; what has not begun by then
            verifies nothing, and `not_run_frac` counts it.
        tie: "first": the class that appears first in the group wins a tie; "drop": a tie has no
            pseudo-label.
        prompt: Template with the slots {{problem}} and {{solution}}, and {{answer}} if you like.
    """

    omega: Omega = 5.0
    per: Per = "completion"
    max_program_tokens: Length | None = None
    max_seconds: Positive = 5.0
    max_group_seconds: Positive = 120.0
    tie: TieRule = "first"
    prompt: str = PROMPT

    def __post_init__(self) -> None:
        check_slots(self.prompt, SLOTS, {"problem", "solution"}, _WHAT)
        require_sandbox()

    def questions(self, group: Group) -> list[Question]:
        """Ask for a program for each completion, or for one of each answer, in one round."""
        return questions_about(
            group, self.per, self.prompt, _WHAT, max_tokens=self.max_program_tokens
        )

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster`, `answer`, `completion` and `asked`. If
                no rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in {0.0, 1.0}. All None if there is no pseudo-label: nobody
            answered, or a tie was dropped.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the vote that is paid."""
        answers = [rollout.answer for rollout in group.rollouts]
        weights = [self._weight(check) for check in self._checks(group)]
        return vote_over_classes(answers, group_clusters(group), self.tie, weights)

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return the weight of each rollout's vote."""
        return [{"vote_weight": self._weight(check)} for check in self._checks(group)]

    def group_metrics(self, group: Group) -> dict[str, float]:
        """Count what the programs did (`rewards.code_checks.check_metrics`)."""
        return check_metrics(self._checks(group))

    def _weight(self, check: Check) -> float:
        return self.omega if check.is_verified else 1.0

    def _checks(self, group: Group) -> list[Check]:
        shown = shown_completions(group, self.per)
        found = check_answers(
            [read_program(group.replies(key) or ()) for key in shown],
            [answer for answer, _ in shown.values()],
            self.max_seconds,
            self.max_group_seconds,
        )
        by_key = dict(zip(shown, found, strict=True))
        none = Check(ended=None, is_verified=False)
        return [by_key[key] if key else none for key in shown_keys(group, self.per)]


def read_program(replies: Sequence[Answered]) -> str | None:
    """Return the last whole block marked python of the verifier's reply; None if there is none.

    A thought before "</think>" is not read.
    """
    blocks = [
        block for reply in replies[:1] for block in python_blocks(after_thought(reply.completion))
    ]
    return blocks[-1] if blocks else None
