"""Answers of a prompt: found in completions, grouped by what they mean, voted on."""

from rl.answers.boxes import last_box
from rl.answers.clusters import (
    close_verifier,
    cluster_answers,
    comparer_in_use,
    forget_answers,
    group_clusters,
    same_answer,
    start_verifier,
    use_comparer,
    verification_counters,
)
from rl.answers.extraction import (
    BOX_ONLY,
    DEFAULT_METHODS,
    METHODS,
    CompletionState,
    after_thought,
    completion_state,
    extract_answer,
)
from rl.answers.text import clean_answer, outer_brackets, split_top_level
from rl.answers.workers import AnswerVerificationError, VerificationCounters

__all__ = [
    "BOX_ONLY",
    "DEFAULT_METHODS",
    "METHODS",
    "AnswerVerificationError",
    "CompletionState",
    "VerificationCounters",
    "after_thought",
    "clean_answer",
    "close_verifier",
    "cluster_answers",
    "comparer_in_use",
    "completion_state",
    "extract_answer",
    "forget_answers",
    "group_clusters",
    "last_box",
    "outer_brackets",
    "same_answer",
    "split_top_level",
    "start_verifier",
    "use_comparer",
    "verification_counters",
]
