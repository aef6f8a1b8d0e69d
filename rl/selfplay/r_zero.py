r"""R-Zero: one policy sets problems, and solves them to find out how hard they are.

A round (`RZero.play`): a challenger writes problems, without documents; a solver answers each of
them m times; the most common answer is the pseudo-label. The challenger is paid for problems whose
answers disagree, the solver for the pseudo-label, on problems that are neither too easy nor too
hard. Nobody judges, and nothing is remembered.

Source: R-Zero: Self-Evolving Reasoning LLM from Zero Data, arXiv 2508.05004, section 3. Reference
    code: Chengsong-Huang/R-Zero at 5699329.
Differs: one policy plays both roles and is updated on both in every round, where the paper trains
    two models in turn; all problems of a round are one group of the challenger's, where the code
    has groups of 4; the answers that measure a problem are the ones the solver is trained on;
    problems come as JSON, without the challenger's own answer; answers are the same if their
    canonical keys are (`rl.answers.keys`), so that all ranks find the same classes.
    `preset="reference_code"` chooses problems as the code does: the share of their majority is
    taken of the answers that could be read, and lies between 0.3 and 0.8. In the challenger's
    reward that share is of all answers in paper and code; its presets are in
    `rewards.selfplay.questioner.UncertaintyChallenge`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from rl.answers import extract_answer
from rl.answers.keys import answer_key
from rl.answers.votes import count_votes
from rl.errors import InputError
from rl.selfplay.duplicates import near_duplicates
from rl.selfplay.game import (
    Answered,
    Episode,
    Prompt,
    Request,
    RequestSampler,
    Round,
    as_prompt,
    make_episode,
    mean_or_nan,
)
from rl.selfplay.proposals import last_json_object, text_field
from rl.selfplay.role_advantages import batch_advantages, group_advantages
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.settings import Share, checked

ROLES = ("challenger", "solver")
AtLeastTwo = Annotated[int, Field(ge=2)]
# From problems and the share of each one's most common answer, None for what is no problem, to
# rewards; such as `rewards.selfplay.questioner.UncertaintyChallenge`.
ChallengeReward: TypeAlias = Callable[[list[str | None], list[float | None]], list[float]]
# Preset -> smallest and largest share of a majority to learn from. The paper's |p - 1/2| <= 1/4 of
# ten answers is 3 to 7 of them.
INFORMATIVE = {"paper": (0.3, 0.7), "reference_code": (0.3, 0.8)}


@checked
@dataclass(frozen=True, kw_only=True)
class RZeroSettings:
    """Settings of `RZero`.

    Attributes:
        preset: "paper" or "reference_code": which of its problems the solver is trained on.
        num_proposals: Problems written in a round.
        num_questions: Most problems of a round the solver is trained on.
        group_size: Answers per problem, m.
        min_majority_ratio: A problem with a less common majority is too hard, or badly put; None:
            the preset's.
        max_majority_ratio: A problem with a more common one is too easy; None: the preset's.
        chat: Whether prompts are chat messages, or plain text.
        thinking: Whether the chat template opens a thought, so that a completion starts within it.
    """

    preset: Literal["paper", "reference_code"] = "paper"
    num_proposals: AtLeastTwo = 256
    num_questions: AtLeastTwo = 128
    group_size: AtLeastTwo = 10
    min_majority_ratio: Share | None = None
    max_majority_ratio: Share | None = None
    chat: bool = True
    thinking: bool = False

    def __post_init__(self) -> None:
        low, high = self.informative
        if low > high:
            raise InputError(
                f"selfplay min_majority_ratio, max_majority_ratio: got {low} and {high}, expected "
                "min <= max. Correct them."
            )

    @property
    def informative(self) -> tuple[float, float]:
        """Smallest and largest share of a majority to learn from."""
        low, high = INFORMATIVE[self.preset]
        given = self.min_majority_ratio, self.max_majority_ratio
        return low if given[0] is None else given[0], high if given[1] is None else given[1]


@dataclass(kw_only=True)
class _Problem:
    """A problem with its answers."""

    number: int
    question: str
    request: Request
    completions: list[Answered]
    answers: list[str | None]
    rewards: list[float]
    majority_ratio: float


class RZero:
    """The game, as `rl.selfplay.game.Game` says.

    Args:
        challenge_reward: The challenger's reward.
        settings: See `RZeroSettings`.
        prompts: A folder with r_zero/challenger.txt and r_zero/solver.txt ({{question}}), or None.
    """

    def __init__(
        self,
        *,
        challenge_reward: ChallengeReward,
        settings: RZeroSettings | None = None,
        prompts: str | Path | None = None,
    ) -> None:
        self.challenge_reward = challenge_reward
        self.settings = settings or RZeroSettings()
        self.templates = Templates("r_zero", prompts, R_ZERO_SLOTS)
        self.roles = ROLES
        self.max_trained = (
            self.settings.num_proposals + self.settings.num_questions * self.settings.group_size
        )

    def play(self, sample: RequestSampler, step: int) -> Round:
        """Play one round."""
        request = Request(
            key="challenger",
            role="challenger",
            prompt=self._as_prompt("challenger", {}),
            num_samples=self.settings.num_proposals,
        )
        [written] = sample([request])
        problems = self._solve([self._read_question(answered) for answered in written], sample)
        by_number = {problem.number: problem for problem in problems}
        found = [by_number.get(number) for number in range(len(written))]
        rewards = self.challenge_reward(
            [problem and problem.question for problem in found],
            [problem and problem.majority_ratio for problem in found],
        )
        kept = [p for p in problems if self._is_informative(p)]
        trained = {problem.number for problem in kept[: self.settings.num_questions]}
        advantages = batch_advantages(rewards)
        episodes = [
            make_episode(
                request,
                number,
                answered,
                reward=rewards[number],
                advantage=advantages[number],
                answer=problem and problem.question,
                rewards={"majority_ratio": problem and problem.majority_ratio},
            )
            for number, (answered, problem) in enumerate(zip(written, found, strict=True))
        ]
        for problem in problems:
            episodes += self._solver_episodes(problem, problem.number in trained)
        return self._round(written, problems, len(kept), len(trained), rewards, episodes)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: rounds do not depend on each other."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""

    def _as_prompt(self, name: str, slots: Mapping[str, str]) -> Prompt:
        return as_prompt(self.templates.fill(name, slots), chat=self.settings.chat)

    def _text(self, answered: Answered) -> str:
        return answered.text(thinking=self.settings.thinking)

    def _read_question(self, answered: Answered) -> str | None:
        return text_field(last_json_object(self._text(answered)) or {}, "question")

    def _solve(self, questions: list[str | None], sample: RequestSampler) -> list[_Problem]:
        numbers = [number for number, question in enumerate(questions) if question is not None]
        requests = [
            Request(
                key=f"solver/{number}",
                role="solver",
                prompt=self._as_prompt("solver", {"question": questions[number] or ""}),
                num_samples=self.settings.group_size,
            )
            for number in numbers
        ]
        found = []
        for number, request, completions in zip(
            numbers, requests, sample(requests) if requests else [], strict=True
        ):
            answers = [extract_answer(self._text(answered)) for answered in completions]
            keys = [None if answer is None else answer_key(answer) for answer in answers]
            # Answers vote by their keys, without Math-Verify; of equally common ones the first
            # given is the pseudo-label.
            classes = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            vote = count_votes([None if key is None else classes[key] for key in keys])
            found.append(
                _Problem(
                    number=number,
                    question=questions[number] or "",
                    request=request,
                    completions=completions,
                    answers=answers,
                    rewards=[
                        float(key is not None and classes[key] == vote.winner) for key in keys
                    ],
                    majority_ratio=vote.majority_ratio,
                )
            )
        return found

    def _is_informative(self, problem: _Problem) -> bool:
        low, high = self.settings.informative
        share = problem.majority_ratio
        if self.settings.preset == "reference_code":
            num_read = sum(answer is not None for answer in problem.answers)
            share = share * len(problem.answers) / max(1, num_read)
        return low <= share <= high and len(set(problem.rewards)) > 1

    def _solver_episodes(self, problem: _Problem, is_trained: bool) -> list[Episode]:
        advantages: list[float | None] = [None] * len(problem.rewards)
        if is_trained:
            advantages = [*group_advantages(problem.rewards)]
        return [
            make_episode(
                problem.request,
                number,
                answered,
                reward=problem.rewards[number],
                advantage=advantages[number],
                answer=problem.answers[number],
            )
            for number, answered in enumerate(problem.completions)
        ]

    def _round(
        self,
        written: list[Answered],
        problems: list[_Problem],
        num_informative: int,
        num_trained: int,
        rewards: list[float],
        episodes: list[Episode],
    ) -> Round:
        questions = [problem.question for problem in problems]
        repeats = near_duplicates(questions)
        answers = [answer for problem in problems for answer in problem.answers]
        metrics = {
            "funnel/proposed": len(written),
            "funnel/parsed": len(problems),
            "funnel/informative": num_informative,
            "funnel/trained": num_trained,
            "majority_ratio": mean_or_nan([problem.majority_ratio for problem in problems]),
            "no_answer_frac": mean_or_nan([answer is None for answer in answers]),
            "reward/challenger": mean_or_nan(rewards),
            "reward/solver": mean_or_nan([reward for p in problems for reward in p.rewards]),
            "trained/challenger": sum(
                e.trained for e in episodes if e.request.role == "challenger"
            ),
            "trained/solver": sum(e.trained for e in episodes if e.request.role == "solver"),
            "canary/near_duplicates": mean_or_nan([match is not None for match in repeats]),
        }
        alarms = []
        if metrics["canary/near_duplicates"] > 0.5:
            alarms.append(
                f"canary/near_duplicates: problems repeat themselves "
                f"({metrics['canary/near_duplicates']:.2f}, expected at most 0.5)"
            )
        if not num_trained:
            alarms.append(
                f"no problem of {len(written)} was informative, so the solver is not trained; see "
                "the funnel/ metrics"
            )
        values = {name: float(value) for name, value in metrics.items()}
        return Round(episodes=episodes, metrics=values, alarms=alarms)
