"""From a question's samples to its answer: the vote, how sure it is, and one way to get there."""

from collections.abc import Sequence
from typing import Any

from rl.answers import cluster_answers
from rl.answers.votes import count_votes, rank_classes


def voted_answer(
    completions: Sequence[str], answers: Sequence[str | None], num_tokens: Sequence[int]
) -> dict[str, Any]:
    """Vote on one question.

    Args:
        completions: All samples of the question, at least one.
        answers: The answer of each, None for none.
        num_tokens: Tokens of each.

    Returns:
        `answer`, the first answer of the largest class, None if no sample has one;
        `majority_ratio`, samples in that class / all; `num_votes`; `num_abstained`;
        `alternatives`, the other classes, largest first, as {"answer", "count"}; and `reasoning`, a
        completion of the winning class with as many tokens as the class's median, or None.
    """
    clusters = cluster_answers(answers)
    vote = count_votes(clusters)
    ranked = rank_classes(answers, clusters, vote)
    winners = [i for i, cluster in enumerate(clusters) if cluster == vote.winner is not None]
    winners.sort(key=lambda i: num_tokens[i])
    return {
        "answer": ranked[0].answer if ranked else None,
        "majority_ratio": vote.majority_ratio,
        "num_votes": vote.num_votes,
        "num_abstained": vote.num_abstained,
        "alternatives": [{"answer": c.answer, "count": c.count} for c in ranked[1:]],
        "reasoning": completions[winners[(len(winners) - 1) // 2]] if winners else None,
    }
