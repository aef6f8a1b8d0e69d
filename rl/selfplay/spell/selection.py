"""What a round of SPELL trains: balanced over roles, with each role's own advantages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from rl.selfplay.game import Episode, make_episode
from rl.selfplay.proposals import BAD_FORMAT
from rl.selfplay.role_advantages import batch_advantages, group_advantages
from rl.selfplay.spell.filters import Negative, draw_negatives, is_consistent
from rl.selfplay.spell.question import (
    INFORMATIVE,
    NOT_GROUNDED,
    ZERO_VARIANCE,
    Answer,
    JudgmentReward,
    Question,
)
from rl.selfplay.spell.settings import SpellSettings

_BAD = (BAD_FORMAT.reason, NOT_GROUNDED, ZERO_VARIANCE)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is trained.

    Attributes:
        positives: Numbers of the informative questions, at most N: their questioner's and
            responder's completions are trained.
        negatives: Numbers of the bad questions: their questioner's completions are.
        judged: (question, answer) whose judgments are.
        scale: Factor of all advantages, for a round with fewer than N questions.
    """

    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    judged: tuple[tuple[int, int], ...]
    scale: float


def select(questions: Sequence[Question], settings: SpellSettings, rng: Random) -> Selection:
    """Choose what is trained.

    * responder: the groups of the first N informative questions;
    * questioner: those questions, and as many bad ones (`draw_negatives`);
    * verifier: of all consistent groups of judgments (`is_consistent`), as many at random as make
      one judgment per question; none if there are fewer.

    Args:
        questions: All questions of the round, in the order they were asked.
        settings: The game's.
        rng: Draws.

    Returns:
        The choice; empty without an informative question.
    """
    positives = [i for i, q in enumerate(questions) if q.outcome == INFORMATIVE]
    positives = positives[: settings.num_questions]
    tasks = dict.fromkeys(question.task.name for question in questions)
    num_positives = {task: sum(questions[i].task.name == task for i in positives) for task in tasks}
    candidates = [
        Negative(index=i, task=question.task.name, kind=question.outcome)
        for i, question in enumerate(questions)
        if question.outcome in _BAD
    ]
    consistent = [
        (i, number)
        for i, question in enumerate(questions)
        for number, answer in enumerate(question.answers)
        if is_consistent(
            answer.verdicts,
            answer.verdict,
            answer.rule,
            with_rule=settings.update_consistency,
        )
    ]
    wanted = len(positives) // settings.num_judgments
    if len(consistent) < wanted:
        consistent = []
    negatives = draw_negatives(num_positives, candidates, rng, settings.negative_sampling)
    judged = sorted(rng.sample(consistent, min(wanted, len(consistent))))
    is_short = settings.shortfall == "scale" and len(positives) < settings.num_questions
    return Selection(
        positives=tuple(positives),
        negatives=tuple(negatives),
        judged=tuple(judged),
        scale=len(positives) / settings.num_questions if is_short else 1.0,
    )


def make_episodes(
    questions: Sequence[Question],
    selection: Selection,
    settings: SpellSettings,
    judgment_reward: JudgmentReward,
) -> list[Episode]:
    """Turn all completions of a round into episodes, with advantages where they are trained.

    Args:
        questions: All questions.
        selection: What of them is trained.
        settings: The game's; a role that is not trained has no advantages.
        judgment_reward: Pays the judgments.

    Returns:
        The episodes of all roles, question by question.
    """
    asked = _questioner_advantages(questions, selection, settings)
    positives, judged = set(selection.positives), set(selection.judged)
    episodes = []
    for i, question in enumerate(questions):
        episodes.append(_questioner_episode(question, asked.get(i)))
        episodes += _grounding_episodes(question)
        episodes += _responder_episodes(question, i in positives)
        for number, answer in enumerate(question.answers):
            episodes += _verifier_episodes(answer, (i, number) in judged, judgment_reward)
    return [_scaled(episode, selection.scale, settings.trained_roles) for episode in episodes]


def _scaled(episode: Episode, scale: float, trained_roles: Sequence[str]) -> Episode:
    if episode.advantage is None:
        return episode
    if episode.request.role not in trained_roles:
        return replace(episode, advantage=None, trained=False)
    return replace(episode, advantage=episode.advantage * scale)


def _questioner_advantages(
    questions: Sequence[Question], selection: Selection, settings: SpellSettings
) -> dict[int, float | None]:
    numbers = sorted((*selection.positives, *selection.negatives))
    rewards = [question.reward for question in (questions[i] for i in numbers)]
    per_task = settings.questioner_advantage == "per_task"
    advantages = batch_advantages(
        [reward for reward in rewards if reward is not None],
        [questions[i].task.name for i in numbers] if per_task else None,
    )
    return dict(zip(numbers, advantages, strict=True))


def _questioner_episode(question: Question, advantage: float | None) -> Episode:
    proposal = question.proposal
    return make_episode(
        question.request,
        0,
        question.answered,
        reward=question.reward,
        advantage=advantage,
        answer=None if proposal is None else f"{proposal.question} -> {proposal.answer}",
        rewards={"success_rate": question.success_rate if question.answers else None},
    )


def _grounding_episodes(question: Question) -> list[Episode]:
    if question.grounding is None:
        return []
    return [
        make_episode(question.grounding, number, answered)
        for number, answered in enumerate(question.groundings)
    ]


def _responder_episodes(question: Question, is_trained: bool) -> list[Episode]:
    advantages: list[float | None] = [None] * len(question.answers)
    if is_trained:
        advantages = [*group_advantages([answer.reward for answer in question.answers])]
    episodes = []
    for number, (answer, advantage) in enumerate(zip(question.answers, advantages, strict=True)):
        assert question.responses is not None
        verdict = None if answer.verdict is None else float(answer.verdict)
        episodes.append(
            make_episode(
                question.responses,
                number,
                answer.answered,
                reward=answer.reward,
                advantage=advantage,
                answer=answer.prediction,
                rewards={"rule": answer.rule, "verdict": verdict},
            )
        )
    return episodes


def _verifier_episodes(
    answer: Answer, is_trained: bool, judgment_reward: JudgmentReward
) -> list[Episode]:
    if answer.request is None:
        return []
    rewards = judgment_reward.judgment_rewards(answer.verdicts, answer.verdict)
    advantages: list[float | None] = [None] * len(rewards)
    if is_trained:
        advantages = [*group_advantages([reward for reward in rewards if reward is not None])]
    words = {1: "YES", 0: "NO", None: None}
    return [
        make_episode(
            answer.request,
            number,
            answered,
            reward=reward,
            advantage=advantage,
            answer=words[verdict],
        )
        for number, (answered, verdict, reward, advantage) in enumerate(
            zip(answer.judgments, answer.verdicts, rewards, advantages, strict=True)
        )
    ]
