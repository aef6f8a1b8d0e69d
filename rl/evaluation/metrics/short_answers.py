"""Answers of a few words against the accepted ones: exact match, cover match, F1 over words.

Source: the answer metrics of HotpotQA (hotpot_evaluate_v1.py), 2WikiMultihopQA
    (2wikimultihop_evaluate_v1.1.py) and MuSiQue (metrics/answer.py), which share SQuAD's
    normalisation; of several accepted answers the best one counts. The cover match is SPELL's,
    arXiv 2509.23863, reference code SPELL/verl/verl/utils/reward_score/docqa.py (sub_em_strict).
Differs: where both answers normalise to nothing F1 is 1, as in MuSiQue and SQuAD 2, 0 in HotpotQA.
    yes, no and noanswer share no words with anything else, as in HotpotQA; MuSiQue has no such
    rule. SPELL compares with the first accepted answer alone.
"""

import re
from collections import Counter
from collections.abc import Sequence
from string import punctuation

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", punctuation)
_CLOSED = ("yes", "no", "noanswer")


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and the articles a, an, the; one space between words.

    Example:
        >>> normalize_answer("The  U.S. Senate's"), normalize_answer("An a")
        ('us senates', '')
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())


def exact_match(answer: str | None, accepted: Sequence[str]) -> bool:
    """Tell whether an answer equals an accepted one, both normalised.

    Args:
        answer: None equals nothing.
        accepted: None of them: nothing is equal.

    Example:
        >>> exact_match("The Beatles.", ["beatles"]), exact_match(None, ["beatles"])
        (True, False)
    """
    if answer is None:
        return False
    return normalize_answer(answer) in {normalize_answer(one) for one in accepted}


def cover_match(answer: str | None, accepted: Sequence[str]) -> bool:
    """Tell whether an answer contains an accepted one as a run of characters, both normalised.

    So 16 contains 6, and an answer that lists candidates contains each. What normalises to nothing
    is contained in nothing.

    Example:
        >>> cover_match("in Paris, France", ["Paris"]), cover_match("Paris", ["in Paris"])
        (True, False)
    """
    if answer is None:
        return False
    ours = normalize_answer(answer)
    return any(theirs and theirs in ours for theirs in map(normalize_answer, accepted))


def token_f1(answer: str | None, accepted: Sequence[str]) -> float:
    """Return the best F1 over words with an accepted answer, in [0, 1].

    With c words in common, counted with repetition, F1 = 2c / (words of one + words of the other).

    Args:
        answer: None scores 0.
        accepted: None of them scores 0.

    Example:
        >>> token_f1("Paris in France", ["Paris"]), token_f1("yes it is", ["yes"])
        (0.5, 0.0)
    """
    if answer is None:
        return 0.0
    return max(
        (_f1(normalize_answer(answer), normalize_answer(one)) for one in accepted), default=0
    )


def _f1(ours: str, theirs: str) -> float:
    if ours == theirs:
        return 1.0
    if ours in _CLOSED or theirs in _CLOSED:
        return 0.0
    words, others = ours.split(), theirs.split()
    return 2 * (Counter(words) & Counter(others)).total() / (len(words) + len(others))
