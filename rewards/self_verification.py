"""Self-verification as a reward: pays each answer the share of the policy's own checks it passes.

Source: self-verification is one of the rewards of "How Far Can Unsupervised RLVR Scale LLM
    Training?", arXiv 2603.08660, whose code (PRIME-RL/TTRL, branch urlvr-dev) asks in words that
    fit the game Countdown alone.
Differs: the prompt, the number of judgments and how a verdict is read are ours, and any problem
    goes. One completion stands for all of an answer, so that as many questions are asked as there
    are answers; `per: completion` asks about each.
Fails when: the policy says yes to whatever it is shown, or learns to write what it says yes to: it
    is asked as it is then, and judges better or worse as it is trained.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.candidates import SLOTS, Per, questions_about, shown_completions, shown_keys
from rl.answers import after_thought
from rl.data.slots import check_slots
from rl.questions import Answered, Question
from rl.settings import Count, Length, checked
from rl.types import Group

PROMPT = """\
Problem:
{{problem}}

A proposed solution:
{{solution}}

Its final answer is {{answer}}. Is that answer right? Check it step by step, and end with one line \
that says either "Verdict: yes" or "Verdict: no"."""
_WHAT = "rewards.self_verification.prompt"
_VERDICT = re.compile(r"\bverdict(?:\W|boxed|text){0,12}(yes|no)\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\W{0,12}(yes|no)\b", re.IGNORECASE)


@checked
@dataclass(frozen=True, kw_only=True)
class SelfVerification:
    """Pay the share of yes among the policy's judgments of an answer.

    r_i = Y_c / (Y_c + N_c),  c the class of rollout i's answer

    where Y_c and N_c of the `num_judgments` replies about the class's candidate
    (`rewards.candidates`) end in "Verdict: yes" and "Verdict: no"; see `read_verdict`.

    Attributes:
        num_judgments: Replies about each candidate, at least 1.
        max_judgment_tokens: Most tokens of a reply; None: the run's max_completion_length.
        per: "answer" asks about one completion of each answer; "completion" about each different
            completion that has an answer.
        prompt: Template with the slots {{problem}}, {{solution}} and {{answer}}, of which it needs
            the first and one of the others.

    Example:
        >>> read_verdict(Answered(completion="So 4. Verdict: yes", num_tokens=9, truncated=False))
        True
    """

    num_judgments: Count = 4
    max_judgment_tokens: Length | None = None
    per: Per = "answer"
    prompt: str = PROMPT

    def __post_init__(self) -> None:
        needed = {"problem", "answer" if "{{answer}}" in self.prompt else "solution"}
        check_slots(self.prompt, SLOTS, needed, _WHAT)

    def questions(self, group: Group) -> list[Question]:
        """Ask about each candidate, in one round."""
        return questions_about(
            group,
            self.per,
            self.prompt,
            _WHAT,
            max_tokens=self.max_judgment_tokens,
            num_samples=self.num_judgments,
        )

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster`, `answer`, `completion` and `asked`. If
                no rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in [0, 1]. None where no reply about its answer could be read,
            or none was asked for as the question was too long. A rollout without an answer gets
            0.0, as in a vote, where some other answer could be judged; else None.
        """
        shares = {
            key: self._share(group.replies(key)) for key in shown_completions(group, self.per)
        }
        is_judged = any(share is not None for share in shares.values())
        return [
            (0.0 if is_judged else None) if key is None else shares[key]
            for key in shown_keys(group, self.per)
        ]

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return how many judgments of each rollout's answer said yes, and no."""
        verdicts = [
            [read_verdict(reply) for reply in (key and group.replies(key)) or ()]
            for key in shown_keys(group, self.per)
        ]
        return [{"yes": v.count(True), "no": v.count(False)} for v in verdicts]

    def _share(self, replies: Sequence[Answered] | None) -> float | None:
        verdicts = [read_verdict(reply) for reply in replies or ()]
        num_read = len(verdicts) - verdicts.count(None)
        return verdicts.count(True) / num_read if num_read else None


def read_verdict(reply: Answered) -> bool | None:
    """Read a judgment: what stands after the last "Verdict:", or a first word that is yes or no.

    A reply that was cut off may repeat the question's own words, so only its first word counts. A
    thought before "</think>" is not read.

    Returns:
        Whether it says yes; None where it says neither.
    """
    text = after_thought(reply.completion)
    found = [] if reply.truncated else _VERDICT.findall(text)
    first = _FIRST_WORD.match(text)
    said = found[-1] if found else first[1] if first else None
    return None if said is None else said.lower() == "yes"
