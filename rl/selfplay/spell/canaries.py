"""Signs that self-play goes wrong, none of which needs a label, and when to raise an alarm.

The three roles are one policy: it may come to agree with itself on wrong answers. So a round also
measures

* how often the verifier judges an answer otherwise than a frozen copy of the first policy,
* how far the share of YES has drifted from that of the first rounds,
* how many questions nearly repeat another one,
* how often the reference is found again by an answer over the questioner's own documents alone,
* how varied the first words of questions are, and how scattered the wrong answers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from rl.selfplay.duplicates import near_duplicates
from rl.selfplay.game import mean_or_nan
from rl.settings import checked

METRICS = (
    "verifier_disagreement",
    "yes_rate",
    "yes_rate_drift",
    "near_duplicates",
    "reanswer_agreement",
    "opening_entropy",
    "wrong_answer_kinds",
)


@checked
@dataclass(frozen=True, kw_only=True)
class CanarySettings:
    """What is measured, and the thresholds of alarms.

    Attributes:
        num_questions: Most informative questions of a round whose first answer the frozen verifier
            judges, and which are answered again; 0 turns both off, and their cost.
        history: Number of earlier questions that new ones are compared with.
        baseline_rounds: Rounds whose mean share of YES the later ones are compared with.
        max_verifier_disagreement: Alarm above it.
        max_yes_rate_drift: Alarm above it.
        max_near_duplicates: Alarm above it.
        min_reanswer_agreement: Alarm below it.
    """

    num_questions: NonNegativeInt = 32
    history: NonNegativeInt = 512
    baseline_rounds: PositiveInt = 5
    max_verifier_disagreement: float = 0.2
    max_yes_rate_drift: float = 0.2
    max_near_duplicates: float = 0.5
    min_reanswer_agreement: float = 0.5


@dataclass(kw_only=True)
class Canaries:
    """Measures a round and remembers what later ones are compared with.

    Attributes:
        settings: Thresholds.
        yes_rates: Shares of YES of the first `baseline_rounds` rounds that had judgments.
        questions: The newest `history` questions.
    """

    settings: CanarySettings = field(default_factory=CanarySettings)
    yes_rates: list[float] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def check(
        self,
        *,
        questions: Sequence[str],
        verdicts: Sequence[int],
        frozen_pairs: Sequence[tuple[int, int]],
        reanswers: Sequence[bool],
        wrong_answers: Sequence[Sequence[str]],
    ) -> tuple[dict[str, float], list[str]]:
        """Measure a round.

        Args:
            questions: All questions that could be read.
            verdicts: The valid judgments, 1 or 0.
            frozen_pairs: (live, frozen) vote on the same answers; none without a frozen policy.
            reanswers: Whether a question's reference was found again.
            wrong_answers: The wrong answers to each informative question, normalised.

        Returns:
            A value for each of `METRICS`, NaN where there is nothing to measure; and one line for
            each threshold that is passed.
        """
        yes_rate = mean_or_nan(verdicts)
        drift = math.nan
        if len(self.yes_rates) == self.settings.baseline_rounds:
            drift = abs(yes_rate - fmean(self.yes_rates))
        elif verdicts:
            self.yes_rates.append(yes_rate)
        kinds = [len(set(group)) / len(group) for group in wrong_answers if group]
        metrics = {
            "verifier_disagreement": mean_or_nan([live != frozen for live, frozen in frozen_pairs]),
            "yes_rate": yes_rate,
            "yes_rate_drift": drift,
            "near_duplicates": self._near_duplicates(questions),
            "reanswer_agreement": mean_or_nan(reanswers),
            "opening_entropy": opening_entropy(questions),
            "wrong_answer_kinds": mean_or_nan(kinds),
        }
        return metrics, self._alarms(metrics)

    def _near_duplicates(self, questions: Sequence[str]) -> float:
        """Share of the questions that nearly repeat an earlier one, of this round or before it."""
        earlier = self.questions
        found = near_duplicates([*earlier, *questions])
        share = mean_or_nan([match is not None for match in found[len(earlier) :]])
        newest = [*earlier, *questions]
        self.questions = newest[max(0, len(newest) - self.settings.history) :]
        return share

    def _alarms(self, metrics: Mapping[str, float]) -> list[str]:
        settings = self.settings
        limits = [  # name, limit, whether more is worse, what it means
            (
                "verifier_disagreement",
                settings.max_verifier_disagreement,
                True,
                "the verifier judges otherwise than at the start",
            ),
            (
                "yes_rate_drift",
                settings.max_yes_rate_drift,
                True,
                "the verifier's share of YES has moved",
            ),
            ("near_duplicates", settings.max_near_duplicates, True, "questions repeat themselves"),
            (
                "reanswer_agreement",
                settings.min_reanswer_agreement,
                False,
                "reference answers are not found again from their own documents",
            ),
        ]
        return [
            f"canary/{name}: {meaning} ({metrics[name]:.2f}, expected at "
            f"{'most' if more_is_worse else 'least'} {limit:g})"
            for name, limit, more_is_worse, meaning in limits
            if (metrics[name] > limit if more_is_worse else metrics[name] < limit)
        ]

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as plain JSON."""
        return {"yes_rates": list(self.yes_rates), "questions": list(self.questions)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.yes_rates = list(state["yes_rates"])
        self.questions = list(state["questions"])


def opening_entropy(questions: Sequence[str]) -> float:
    """Entropy in nats of the first word of questions; NaN without a question.

    Example:
        >>> round(opening_entropy(["Who is it?", "who was it?", "When was it?", "Why?"]), 4)
        1.0397
    """
    counts = Counter((question.casefold().split() or [""])[0] for question in questions)
    total = counts.total()
    if not total:
        return math.nan
    return -sum(count / total * math.log(count / total) for count in counts.values()) + 0.0
