"""A question of SPELL with everything that came of it, and what its rewards look like."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol

from rl.selfplay.documents import Topic
from rl.selfplay.game import Answered, Request
from rl.selfplay.proposals import Proposal
from rl.selfplay.spell.memory import Context
from rl.selfplay.tasks.task import Task

NOT_GROUNDED, ZERO_VARIANCE, INFORMATIVE = "not_grounded", "zero_variance", "informative"


class QuestionReward(Protocol):
    """What a question pays, such as `rewards.selfplay.questioner.GaussianDifficulty`."""

    @property
    def not_grounded(self) -> float: ...  # noqa: D102

    @property
    def bad_format(self) -> float: ...  # noqa: D102

    def __call__(self, success_rate: float) -> float: ...  # noqa: D102


class JudgmentReward(Protocol):
    """What judgments mean and pay, such as `rewards.selfplay.verifier.VerifierVote`."""

    def read(self, text: str) -> int | None: ...  # noqa: D102

    def majority(self, verdicts: Sequence[int | None]) -> int | None: ...  # noqa: D102

    def responder_reward(self, rule: float, verdict: int | None) -> float: ...  # noqa: D102

    def judgment_rewards(  # noqa: D102
        self, verdicts: Sequence[int | None], verdict: int | None
    ) -> list[float | None]: ...


@dataclass(kw_only=True)
class Answer:
    """One answer to a question and its judgments.

    Attributes:
        answered: The completion.
        prediction: The answer read from it; None if there is none.
        rule: The rule check, 0.0 or 1.0.
        request: The verifier's; None where there was nothing to judge, or an equal answer was.
        judgments: The verifier's completions.
        verdicts: What they say.
        verdict: Their vote, or that on the equal answer.
        reward: The responder's reward.
    """

    answered: Answered
    prediction: str | None
    rule: float
    request: Request | None = None
    judgments: list[Answered] = field(default_factory=list)
    verdicts: list[int | None] = field(default_factory=list)
    verdict: int | None = None
    reward: float = 0.0


@dataclass(kw_only=True)
class Question:
    """A visit of a questioner to a topic, and everything that came of it.

    Attributes:
        task: Its task.
        topic: Its topic.
        context: What the questioner was shown.
        request: The questioner's.
        answered: What the questioner wrote.
        outcome: A reason of `rl.selfplay.proposals.Rejected`, or "not_grounded", "zero_variance",
            "informative".
        proposal: The question, if there is one.
        reward: The questioner's reward; None for a question that is left out without a penalty.
        groundings: Request and completions of the answers without documents.
        responses: The responder's request; None if it never came to that.
        answers: What the responder wrote.
        prompt_documents: Number of documents the responder saw.
    """

    task: Task
    topic: Topic
    context: Context
    request: Request
    answered: Answered
    outcome: str = ""
    proposal: Proposal | None = None
    reward: float | None = None
    grounding: Request | None = None
    groundings: list[Answered] = field(default_factory=list)
    responses: Request | None = None
    answers: list[Answer] = field(default_factory=list)
    prompt_documents: int = 0

    @property
    def success_rate(self) -> float:
        """Mean reward of the answers."""
        return fmean(answer.reward for answer in self.answers)

    @property
    def reference(self) -> str:
        """The reference answer as it is shown."""
        assert self.proposal is not None
        return self.task.show_answer(self.proposal, self.proposal.answer)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Where a question is asked for: task, topic, and the number of the visit in the task."""

    task: Task
    topic: Topic
    number: int
