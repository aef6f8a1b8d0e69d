"""From text to vote: how fast ours is, cold and warm, and Math-Verify between all pairs."""

import time
from collections.abc import Callable, Sequence
from itertools import combinations

from measurements.ratios import Measurement
from tqdm import tqdm

from rl.answers import cluster_answers, extract_answer, forget_answers, start_verifier
from rl.answers.votes import count_votes
from rl.answers.workers import PairVerifier

# Groups are shared out over repetitions, so that pairwise Math-Verify ends in minutes.
_PAIRWISE_GROUPS = 24


def vote(completions: Sequence[str]) -> str | None:
    """Return a group's pseudo-label: extract the answers, cluster them, count."""
    answers = [extract_answer(text) for text in completions]
    clusters = cluster_answers(answers)
    winner = count_votes(clusters).winner
    return None if winner is None else answers[clusters.index(winner)]


def time_groups(
    groups: Sequence[Sequence[str]], work: Callable[[Sequence[str]], object]
) -> list[float]:
    """Return the seconds that each group takes."""
    seconds = []
    for completions in groups:
        start = time.perf_counter()
        work(completions)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_votes(groups: Sequence[Sequence[str]], repetitions: int) -> list[Measurement]:
    """Measure completions per second in one process, and the time of a pairwise clustering.

    Cold: all caches empty. Warm: every group was seen before. Extraction is in both. Pairwise:
    Math-Verify on every pair of different answers of a group, its parser's own cache on.
    """
    start_verifier()
    num_completions = sum(map(len, groups))
    cold, warm, slowest = [], [], []
    for _ in range(repetitions):
        forget_answers()
        seconds = time_groups(groups, vote)
        cold.append(num_completions / sum(seconds))
        slowest.append(percentile(seconds, 0.99))
        warm.append(num_completions / sum(time_groups(groups, vote)))
    return [
        Measurement(name="votes per second, cold", values=cold, target=">= 10,000"),
        Measurement(name="votes per second, warm", values=warm, target=">= 50,000"),
        Measurement(name="p99 of a group, cold, seconds", values=slowest, target="<= 0.05"),
        Measurement(
            name="votes: time of Math-Verify pairs / ours, cold",
            values=_compare_with_pairs(groups, repetitions),
            target=">= 20",
        ),
    ]


def _compare_with_pairs(groups: Sequence[Sequence[str]], repetitions: int) -> list[float]:
    verifier = PairVerifier(deadline_seconds=10.0)
    verifier.start()

    def pairwise(completions: Sequence[str]) -> None:
        different = sorted({extract_answer(text) or "" for text in completions} - {""})
        for left, right in combinations(different, 2):
            verifier.is_same(left, right)

    ratios = []
    for repetition in tqdm(range(repetitions), desc="Math-Verify pairs", leave=False):
        some = groups[repetition::repetitions][:_PAIRWISE_GROUPS]
        forget_answers()
        ours = sum(time_groups(some, vote))
        ratios.append(sum(time_groups(some, pairwise)) / ours)
    verifier.close()
    return ratios


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed.

    Example:
        >>> percentile([3.0, 1.0, 2.0, 4.0], 0.5), percentile([3.0], 0.99)
        (2.0, 3.0)
    """
    if len(values) == 1:
        return values[0]
    ordered = sorted(values)
    return next(v for i, v in enumerate(ordered, start=1) if i >= share * len(ordered))
