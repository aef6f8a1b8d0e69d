"""Rules of grading for answers that are neither maths nor a letter: found, compared and scored.

To add one, write a `GradingRule` and a line in `RULES`, and let a kind of benchmark name it
(`rl.evaluation.problems.kinds`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from rl.answers import extract_answer
from rl.evaluation.metrics.docmath import (
    read_docmath_answer,
    read_docmath_number,
    same_docmath_number,
)
from rl.evaluation.metrics.short_answers import (
    cover_match,
    exact_match,
    normalize_answer,
    token_f1,
)
from rl.selfplay.tasks.task import read_final_answer


@dataclass(frozen=True, kw_only=True)
class GradingRule:
    """How samples of one problem are graded.

    Attributes:
        read: Finds a completion's answer; None if there is none.
        key: Answers with equal keys are one class of the vote, right together or wrong together.
        is_right: Whether an answer is right, given the accepted ones, the label first.
        scores: Further numbers in [0, 1] of a sample; its answer may be None.
    """

    read: Callable[[str], str | None]
    key: Callable[[str], Hashable]
    is_right: Callable[[str, Sequence[str]], bool]
    scores: Callable[[str | None, Sequence[str]], Mapping[str, float]] = lambda *_: {}


def read_short_answer(text: str) -> str | None:
    r"""Find an answer of some words: what follows the last "answer is", or else the last box.

    Example:
        >>> read_short_answer("The correct answer is Paris."), read_short_answer("Paris")
        ('Paris', None)
    """
    return read_final_answer(text) or extract_answer(text, methods=("boxed",))


def short_answer_scores(answer: str | None, accepted: Sequence[str]) -> dict[str, float]:
    """Return exact match, cover match and F1 of an answer.

    Example:
        >>> short_answer_scores("Paris in France", ["Paris"])
        {'exact_match': 0.0, 'cover_match': 1.0, 'f1': 0.5}
    """
    return {
        "exact_match": float(exact_match(answer, accepted)),
        "cover_match": float(cover_match(answer, accepted)),
        "f1": token_f1(answer, accepted),
    }


def _is_docmath_right(answer: str, accepted: Sequence[str]) -> bool:
    ours = read_docmath_number(answer)
    theirs = [read_docmath_number(one) for one in accepted]
    return ours is not None and any(
        one is not None and same_docmath_number(ours, one) for one in theirs
    )


RULES: Mapping[str, GradingRule] = {
    "exact": GradingRule(
        read=read_short_answer,
        key=normalize_answer,
        is_right=exact_match,
        scores=short_answer_scores,
    ),
    "cover": GradingRule(
        read=read_short_answer,
        key=normalize_answer,
        is_right=cover_match,
        scores=short_answer_scores,
    ),
    "docmath": GradingRule(
        read=read_docmath_answer, key=read_docmath_number, is_right=_is_docmath_right
    ),
}
