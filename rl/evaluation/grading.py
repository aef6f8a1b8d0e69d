"""Grade samples: the answer, its class among the problem's samples, and whether it is the label's.

Maths is compared by what it means, a letter of a multiple choice as it is, and anything else by the
rule its problem names (`rl.evaluation.rules`). The grader's version is a hash of the source files
that decide a verdict, and Math-Verify's version.
"""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import rl.answers
import rl.evaluation.metrics.docmath
import rl.evaluation.metrics.short_answers
import rl.evaluation.rules
import rl.selfplay.tasks.financial_math
import rl.selfplay.tasks.task
from rl.answers import (
    DEFAULT_METHODS,
    cluster_answers,
    comparer_in_use,
    extract_answer,
    same_answer,
)
from rl.answers.plugins import is_plugin
from rl.evaluation.records import SampleRecord
from rl.evaluation.rules import RULES, GradingRule
from rl.plugins import plugin_source
from rl.versions import library_versions

_RULE_MODULES = (
    rl.evaluation.rules,
    rl.evaluation.metrics.short_answers,
    rl.evaluation.metrics.docmath,
    rl.selfplay.tasks.task,
    rl.selfplay.tasks.financial_math,
)


def grade(
    samples: Sequence[SampleRecord], methods: Sequence[str] = DEFAULT_METHODS
) -> list[SampleRecord]:
    """Fill in answer, cluster, correct and grader of one problem's samples.

    The first answer of each class is compared with the label, once; its verdict holds for the
    class. Without an answer a sample is wrong. Letters of a multiple choice are the same if they
    are equal.

    Args:
        samples: All samples of one problem.
        methods: Where an answer is looked for; a multiple choice and a rule have their own ways.

    Returns:
        New records in the same order.
    """
    answers = [sample_answer(sample, methods) for sample in samples]
    is_choice = any(sample.choices for sample in samples)
    rule = _rule_of(samples)
    if rule is not None:
        clusters = _equal_keys([None if one is None else rule.key(one) for one in answers])
    else:
        clusters = _equal_keys(answers) if is_choice else cluster_answers(answers)
    verdicts: dict[int | None, bool] = {None: False}
    for sample, answer, cluster in zip(samples, answers, clusters, strict=True):
        if answer is None or cluster in verdicts:
            continue
        if rule is not None:
            verdicts[cluster] = rule.is_right(answer, sample.accepted)
        else:
            verdicts[cluster] = (
                answer == sample.label
                if is_choice
                else any(same_answer(answer, one) for one in sample.accepted)
            )
    version = grader_version(tuple(methods), comparer_in_use())
    return [
        replace(
            sample,
            answer=answer,
            cluster=cluster,
            correct=verdicts[cluster],
            grader=version,
            scores={} if rule is None else dict(rule.scores(answer, sample.accepted)),
        )
        for sample, answer, cluster in zip(samples, answers, clusters, strict=True)
    ]


def sample_answer(sample: SampleRecord, methods: Sequence[str] = DEFAULT_METHODS) -> str | None:
    """Extract one sample's answer; an unfinished thought has none."""
    text = sample.completion
    if sample.must_close_thought and "</think>" not in text:
        return None
    if sample.rule is not None:
        return RULES[sample.rule].read(text)
    if sample.choices:
        return extract_answer(text, choices=sample.choices)
    return extract_answer(text, methods=methods)


@cache
def grader_version(methods: tuple[str, ...] = DEFAULT_METHODS, comparer: str | None = None) -> str:
    """Return the first 12 hex digits of a hash of everything that decides a verdict.

    Args:
        methods: Where an answer is looked for; of extractors of one's own, the source file counts.
        comparer: A comparer of one's own, likewise.
    """
    digest = hashlib.sha256(
        repr(sorted(library_versions(["math-verify", "sympy"]).items())).encode()
    )
    rules = sorted(Path(rl.answers.__file__).parent.glob("*.py"))
    more = [Path(str(module.__file__)) for module in _RULE_MODULES]
    for path in [*rules, Path(__file__), *more]:
        digest.update(path.read_bytes())
    if methods != DEFAULT_METHODS or comparer:
        digest.update(repr((methods, comparer)).encode())
    for name in (*methods, comparer or ""):
        if is_plugin(name):
            digest.update(plugin_source(name, "answers"))
    return digest.hexdigest()[:12]


def _rule_of(samples: Sequence[SampleRecord]) -> GradingRule | None:
    name = samples[0].rule if samples else None
    return None if name is None else RULES[name]


def _equal_keys(keys: Sequence[Hashable | None]) -> list[int | None]:
    numbers: dict[Hashable, int] = {}
    return [None if key is None else numbers.setdefault(key, len(numbers)) for key in keys]
