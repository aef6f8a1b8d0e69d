"""Metrics of a round of SPELL: the funnel of questions, rates, and rewards of each role."""

from collections.abc import Sequence

from rl.selfplay.game import Episode, mean_or_nan
from rl.selfplay.proposals import BAD_FORMAT, REASONS
from rl.selfplay.spell.question import INFORMATIVE, NOT_GROUNDED, ZERO_VARIANCE, Question
from rl.selfplay.spell.selection import Selection
from rl.selfplay.spell.settings import ROLES


def spell_metrics(
    questions: Sequence[Question], selection: Selection, episodes: Sequence[Episode]
) -> dict[str, float]:
    """Measure a round.

    The funnel counts questions: proposed, parsed (a question could be read), grounded (not
    answered without documents), informative (answered neither always nor never), trained.

    Returns:
        Metric -> value, always the same names; NaN where there is nothing to average.
    """
    outcomes = [question.outcome for question in questions]
    answers = [answer for question in questions for answer in question.answers]
    judgments = [verdict for answer in answers for verdict in answer.verdicts]
    both = [answer for answer in answers if answer.verdict is not None]
    metrics = {
        "funnel/proposed": len(questions),
        "funnel/parsed": sum(question.proposal is not None for question in questions),
        "funnel/grounded": outcomes.count(INFORMATIVE) + outcomes.count(ZERO_VARIANCE),
        "funnel/informative": outcomes.count(INFORMATIVE),
        "funnel/trained": len(selection.positives),
        **{f"rejected/{reason}": outcomes.count(reason) for reason in REASONS},
        f"rejected/{NOT_GROUNDED}": outcomes.count(NOT_GROUNDED),
        f"rejected/{ZERO_VARIANCE}": outcomes.count(ZERO_VARIANCE),
        "trained_negatives": len(selection.negatives),
        "advantage_scale": selection.scale,
        "success_rate": mean_or_nan([answer.reward for answer in answers]),
        "rule_rate": mean_or_nan([answer.rule for answer in answers]),
        "no_answer_frac": mean_or_nan([answer.prediction is None for answer in answers]),
        "malformed_judgment_frac": mean_or_nan([verdict is None for verdict in judgments]),
        "verdict_rule_disagreement": mean_or_nan([a.verdict != a.rule for a in both]),
        "context_documents": mean_or_nan([len(q.context.documents) for q in questions]),
        "remembered_examples": mean_or_nan([len(q.context.examples) for q in questions]),
        "prompt_documents": mean_or_nan([q.prompt_documents for q in questions if q.answers]),
    }
    for role in ROLES:
        own = [episode for episode in episodes if episode.request.role == role]
        rewards = [episode.reward for episode in own if episode.reward is not None]
        metrics[f"reward/{role}"] = mean_or_nan(rewards)
        metrics[f"trained/{role}"] = sum(episode.trained for episode in own)
        metrics[f"tokens/{role}"] = mean_or_nan([episode.num_tokens for episode in own])
    return {name: float(value) for name, value in metrics.items()}


def task_metrics(questions: Sequence[Question], tasks: Sequence[str]) -> dict[str, float]:
    """Per task: the share of questions that could be read, and of informative ones."""
    metrics = {}
    for task in tasks:
        own = [question for question in questions if question.task.name == task]
        valid = [question.outcome != BAD_FORMAT.reason for question in own]
        metrics[f"valid_frac/{task}"] = mean_or_nan(valid)
        informative = [question.outcome == INFORMATIVE for question in own]
        metrics[f"informative_frac/{task}"] = mean_or_nan(informative)
    return metrics
