"""Rewards of a role that writes questions: most for those that are solved about half of the time.

Source: SPELL, arXiv 2509.23863, equation 7 (`GaussianDifficulty`); R-Zero: Self-Evolving Reasoning
    LLM from Zero Data, arXiv 2508.05004, section 3 (`UncertaintyChallenge`).
Differs: similarity of two questions is a smoothed BLEU of our own, not a library's; paper and code
    of R-Zero are presets.
Fails when: questions are solved half of the time because they are ambiguous, not because they are
    hard, or because the reference answer is wrong. Watch `rl.selfplay.spell.canaries`.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from rl.settings import checked

_MAX_ORDER = 4
Penalty = Annotated[float, Field(gt=-1e6, le=0)]


@checked
@dataclass(frozen=True, kw_only=True)
class GaussianDifficulty:
    """Pay a question by how often it was solved.

    r = exp(-(p - mu)^2 / (2 sigma^2)) for 0 < p < 1, `zero` for p in {0, 1}

    Attributes:
        mu: Success rate that pays most, in (0, 1).
        sigma: Width, above 0.
        zero: Reward of a question that nobody or everybody solved.
        not_grounded: Reward of a question that is answered without the documents.
        bad_format: Reward of what is no question.
    """

    mu: Annotated[float, Field(gt=0, lt=1)] = 0.5
    sigma: Annotated[float, Field(gt=0, lt=math.inf)] = 0.5 / 3
    zero: Penalty = 0.0
    not_grounded: Penalty = -0.5
    bad_format: Penalty = -1.0

    def __call__(self, success_rate: float) -> float:
        """Reward a question by the mean reward of its answers, in [0, 1].

        Example:
            >>> [round(GaussianDifficulty()(k / 8), 4) for k in (0, 1, 2, 3, 4, 8)]
            [0.0, 0.0796, 0.3247, 0.7548, 1.0, 0.0]
        """
        if not 0 < success_rate < 1:
            return self.zero
        return math.exp(-((success_rate - self.mu) ** 2) / (2 * self.sigma**2))


@checked
@dataclass(frozen=True, kw_only=True)
class UncertaintyChallenge:
    """Pay questions whose answers disagree, less where a round has many alike.

    p is the share of the most common answer, C the class of similar questions, w the weight.

        paper            r = max(0, 1 - 2 |p - 1/2| - w |C| / B), 0 for what is no question;
                         B is the number of questions of the round
        reference_code   r = min(p, 1 - p) - w |C| / B, -1 - w / B for what is no question: each
                         of those is a class of its own; B is the number of all proposals

    Source: R-Zero, arXiv 2508.05004, section 3.2. Reference code: Chengsong-Huang/R-Zero,
        examples/reward_function/caller_penalty.py, run by scripts/questioner_train_penalty.sh.

    Attributes:
        preset: "paper" or "reference_code".
        repetition_weight: Weight w of the repetition penalty; 0 turns it off.
        bad_format: Reward of what is no question, before the penalty; None: the preset's, 0 or -1.
    """

    preset: Literal["paper", "reference_code"] = "paper"
    repetition_weight: Annotated[float, Field(ge=0, lt=math.inf)] = 1.0
    bad_format: float | None = None

    def __call__(
        self, questions: Sequence[str | None], majority_ratios: Sequence[float | None]
    ) -> list[float]:
        """Reward the proposals of a round.

        Args:
            questions: Their texts; None for what is no question.
            majority_ratios: Share of the most common answer among all answers, in [0, 1]; None for
                what is no question.

        Returns:
            One reward per proposal, at most 1; none for none.
        """
        penalties = iter(self.repetition_penalties([q for q in questions if q is not None]))
        if self.preset == "paper":
            bad = 0.0 if self.bad_format is None else self.bad_format
            return [
                bad if ratio is None else max(0.0, 1 - 2 * abs(ratio - 0.5) - next(penalties))
                for ratio in majority_ratios
            ]
        # Penalties are shares of the questions there are.
        share = sum(question is not None for question in questions) / max(1, len(questions))
        bad = -1.0 if self.bad_format is None else self.bad_format
        bad -= self.repetition_weight / max(1, len(questions))
        return [
            bad if ratio is None else min(ratio, 1 - ratio) - next(penalties) * share
            for ratio in majority_ratios
        ]

    def repetition_penalties(self, questions: Sequence[str]) -> list[float]:
        """Return repetition_weight |C| / B for each question; a question alone is a class too."""
        classes = similar_questions(questions)
        sizes = Counter(classes)
        return [self.repetition_weight * sizes[c] / len(classes) for c in classes]


def similar_questions(questions: Sequence[str], max_distance: float = 0.5) -> list[int]:
    """Number classes of similar questions by average linkage over the distance 1 - BLEU.

    BLEU is symmetric here: the mean of both directions. Equal questions are always one class.

    Example:
        >>> similar_questions(["What is 2 + 3 ?", "What is 2 + 4 ?", "Name a prime"], 0.5)
        [0, 0, 1]
    """
    texts = list(dict.fromkeys(questions))
    if len(texts) < 2:
        return [0] * len(questions)
    from scipy.cluster.hierarchy import fcluster, linkage

    counts = [_ngram_counts(text) for text in texts]
    distances = [
        1 - (_bleu(left, right) + _bleu(right, left)) / 2
        for i, left in enumerate(counts)
        for right in counts[i + 1 :]
    ]
    found = fcluster(linkage(distances, method="average"), t=max_distance, criterion="distance")
    labels = dict(zip(texts, found.tolist(), strict=True))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(labels[question], len(numbers)) for question in questions]


def _ngram_counts(text: str) -> list[Counter[tuple[str, ...]]]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return [
        Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
        for order in range(1, _MAX_ORDER + 1)
    ]


def _bleu(
    candidate: list[Counter[tuple[str, ...]]], reference: list[Counter[tuple[str, ...]]]
) -> float:
    """BLEU of up to four words; an order without a match counts as half a match."""
    length, reference_length = candidate[0].total(), reference[0].total()
    if not length or not reference_length:
        return float(length == reference_length)
    logs = []
    for ours, theirs in zip(candidate, reference, strict=True):
        if not ours:  # too short for this order
            continue
        matches = sum(min(count, theirs[ngram]) for ngram, count in ours.items())
        if not logs and not matches:
            return 0.0
        logs.append(math.log(max(matches, 0.5) / ours.total()))
    brevity = min(0.0, 1 - reference_length / length)
    return math.exp(brevity + sum(logs) / len(logs))
