"""From graded samples to metrics: per problem, and averaged over problems with intervals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from statistics import stdev

import numpy
from numpy.typing import NDArray

from rl.errors import InputError
from rl.evaluation.metrics.bootstrap import bootstrap_intervals
from rl.evaluation.metrics.estimators import avg_at_n, g_pass_at_k, maj_at_k, pass_at_k, pass_hat_k
from rl.evaluation.records import Estimate, SampleRecord

# The vote of a k-subset is averaged over disjoint subsets of this many shuffles of a resample.
_NUM_SHUFFLES = 4


@dataclass(frozen=True)
class MetricChoice:
    """Which metrics are computed.

    Attributes:
        ks: Sizes k of pass@k, maj@k, pass^k and G-Pass@k, each in [1, n].
        thresholds: Shares t of G-Pass@k, in (0, 1]; none leaves it out.
        has_lengths: Whether every sample says how many tokens it has.
        has_truncation: Whether every sample says whether it was cut off.
        scores: Names of the numbers that every sample has from its rule, such as "f1".
        has_cut_prompts: Whether a prompt lost its middle.
    """

    ks: tuple[int, ...]
    thresholds: tuple[float, ...] = ()
    has_lengths: bool = True
    has_truncation: bool = True
    scores: tuple[str, ...] = ()
    has_cut_prompts: bool = False

    @classmethod
    def of(
        cls, samples: Iterable[SampleRecord], ks: Sequence[int], thresholds: Sequence[float] = ()
    ) -> "MetricChoice":
        """Choose what all of these samples can answer."""
        samples = list(samples)
        return cls(
            ks=tuple(ks),
            thresholds=tuple(thresholds),
            has_lengths=all(sample.num_tokens is not None for sample in samples),
            has_truncation=all(sample.truncated is not None for sample in samples),
            scores=tuple(
                name
                for name in (samples[0].scores if samples else ())
                if all(name in sample.scores for sample in samples)
            ),
            has_cut_prompts=any(sample.prompt_cut for sample in samples),
        )

    def shared_with(self, other: "MetricChoice", ks: Sequence[int]) -> "MetricChoice":
        """Choose what the samples of two evaluations can both answer, for other sizes k."""
        return MetricChoice(
            ks=tuple(ks),
            has_lengths=self.has_lengths and other.has_lengths,
            has_truncation=self.has_truncation and other.has_truncation,
            scores=tuple(name for name in self.scores if name in other.scores),
            has_cut_prompts=self.has_cut_prompts or other.has_cut_prompts,
        )


def summarize(
    samples: Iterable[SampleRecord], ks: Sequence[int], thresholds: Sequence[float] = ()
) -> dict[str, Estimate]:
    """Average the metrics over problems, with 95% intervals of a two-level bootstrap.

    Args:
        samples: Graded samples, the same number n of each problem.
        ks: Sizes k of pass@k, maj@k and pass^k, in [1, n].
        thresholds: Shares t of G-Pass@k, in (0, 1]; none leaves it out.

    Returns:
        `pass@k`, `maj@k`, `pass^k` and, if asked for, `g-pass@k_t` for each k, `avg@n`, the mean
        over samples of each number their rule gives (`exact_match`, `cover_match`, `f1`), and what
        needs no label: `mean_length` (tokens), `no_answer_frac`, `truncated_frac`,
        `majority_ratio` (samples in the largest class / n), `num_distinct_answers` (classes) and,
        where there are any, `cut_prompt_frac` (prompts that lost their middle). `mean_length` and
        `truncated_frac` are left out where a sample does not say. Last, of problems with strata
        `avg@n` within each: `length/short`, its `n` the number of its problems.

    Raises:
        ValueError: If there are no samples or problems differ in the number of samples.
    """
    # In an order of their own, so that intervals do not depend on that of the samples.
    groups = [group for _, group in sorted(group_by_problem(samples).items())]
    choice = MetricChoice.of((s for group in groups for s in group), ks, thresholds)
    metrics = _estimate(groups, choice)
    accuracy = MetricChoice(ks=(), has_lengths=False, has_truncation=False)
    for name, part in sorted(_strata(groups).items()):
        metrics[name] = _estimate(part, accuracy)[f"avg@{len(part[0])}"]
    return metrics


def _strata(groups: Sequence[list[SampleRecord]]) -> dict[str, list[list[SampleRecord]]]:
    """Collect the problems of each stratum."""
    strata: dict[str, list[list[SampleRecord]]] = {}
    for group in groups:
        for column, value in group[0].strata.items():
            strata.setdefault(f"{column}/{value}", []).append(group)
    return strata


def _estimate(
    groups: Sequence[Sequence[SampleRecord]], choice: MetricChoice
) -> dict[str, Estimate]:
    rows = metric_rows(groups, choice)
    intervals = bootstrap_intervals(
        [list(row.values()) for row in rows],
        resampled_metrics(groups, choice),
        shares=[is_share(name) for name in rows[0]],
    )
    return {
        name: Estimate(
            value=sum(row[name] for row in rows) / len(rows),
            ci_low=low,
            ci_high=high,
            n=len(rows),
            standard_error=standard_error([row[name] for row in rows]),
        )
        for name, (low, high) in zip(rows[0], intervals, strict=True)
    }


def metric_rows(
    groups: Sequence[Sequence[SampleRecord]], choice: MetricChoice
) -> list[dict[str, float]]:
    """Return each problem's metrics, named as `summarize` names them.

    Raises:
        ValueError: If there are no samples or problems differ in the number of samples.
    """
    if len({len(group) for group in groups}) != 1:
        raise ValueError(
            f"samples per problem: got {sorted({len(group) for group in groups})}, expected one "
            "number. Finish sampling or leave unfinished problems out."
        )
    return [problem_metrics(group, choice) for group in groups]


def problem_metrics(samples: Sequence[SampleRecord], choice: MetricChoice) -> dict[str, float]:
    """Return one problem's metrics, exact."""
    n = len(samples)
    c = sum(sample.correct for sample in samples)
    classes = Counter(sample.cluster for sample in samples if sample.cluster is not None)
    counts = list(classes.values())
    correct = {sample.cluster for sample in samples if sample.correct}
    correct_classes = [i for i, cluster in enumerate(classes) if cluster in correct]
    num_abstained = n - sum(counts)
    metrics = {
        **{f"pass@{k}": pass_at_k(n, c, k) for k in choice.ks},
        **{f"maj@{k}": maj_at_k(counts, correct_classes, num_abstained, k) for k in choice.ks},
        **{f"pass^{k}": pass_hat_k(n, c, k) for k in choice.ks},
        **{
            f"g-pass@{k}_{threshold:g}": g_pass_at_k(n, c, k, threshold)
            for threshold in choice.thresholds
            for k in choice.ks
        },
        f"avg@{n}": avg_at_n(n, c),
        **{name: sum(sample.scores[name] for sample in samples) / n for name in choice.scores},
    }
    if choice.has_lengths:
        metrics["mean_length"] = sum(sample.num_tokens or 0 for sample in samples) / n
    metrics["no_answer_frac"] = num_abstained / n
    if choice.has_truncation:
        metrics["truncated_frac"] = sum(bool(sample.truncated) for sample in samples) / n
    metrics["majority_ratio"] = max(counts, default=0) / n
    metrics["num_distinct_answers"] = float(len(counts))
    if choice.has_cut_prompts:
        metrics["cut_prompt_frac"] = sum(sample.prompt_cut for sample in samples) / n
    return metrics


def resampled_metrics(
    groups: Sequence[Sequence[SampleRecord]], choice: MetricChoice, seed: int = 0
) -> NDArray[numpy.float64]:
    """Compute the metrics of resamples of each problem's samples, drawn with replacement.

    maj@k of a resample is estimated from random k-subsets of it, the other metrics are exact.

    Returns:
        Shape (P, R, M), metrics in the order of `metric_rows`; R falls with the number of problems,
        between 20 and 1000.
    """
    generator = numpy.random.default_rng(seed)
    num_replicates = min(1000, max(20, 20_000 // len(groups)))
    return numpy.stack([_resample(group, choice, num_replicates, generator) for group in groups])


def _resample(
    samples: Sequence[SampleRecord],
    choice: MetricChoice,
    num_replicates: int,
    generator: numpy.random.Generator,
) -> NDArray[numpy.float64]:
    n = len(samples)
    classes = numpy.array([-1 if s.cluster is None else s.cluster for s in samples])
    correct = numpy.array([s.correct for s in samples])
    is_right = numpy.zeros(classes.max() + 1, dtype=bool)  # by class
    is_right[classes[correct]] = True
    drawn = generator.integers(n, size=(num_replicates, n))
    votes = classes[drawn]  # (R, n)
    num_correct = correct[drawn].sum(axis=1)
    counts = _count_classes(votes, len(is_right))
    columns = [_table(pass_at_k, n, k)[num_correct] for k in choice.ks]
    columns += [_resampled_majority(votes, is_right, k, generator) for k in choice.ks]
    columns += [_table(pass_hat_k, n, k)[num_correct] for k in choice.ks]
    columns += [
        _table(g_pass_at_k, n, k, threshold)[num_correct]
        for threshold in choice.thresholds
        for k in choice.ks
    ]
    columns += [num_correct / n]
    for name in choice.scores:
        columns += [numpy.array([s.scores[name] for s in samples])[drawn].mean(axis=1)]
    if choice.has_lengths:
        columns += [numpy.array([s.num_tokens for s in samples])[drawn].mean(axis=1)]
    columns += [(votes < 0).mean(axis=1)]
    if choice.has_truncation:
        columns += [numpy.array([s.truncated for s in samples])[drawn].mean(axis=1)]
    columns += [counts.max(axis=1, initial=0) / n, (counts > 0).sum(axis=1)]
    if choice.has_cut_prompts:
        columns += [numpy.array([s.prompt_cut for s in samples])[drawn].mean(axis=1)]
    return numpy.stack(columns, axis=1).astype(float)


def _resampled_majority(
    votes: NDArray[numpy.int64],
    is_right: NDArray[numpy.bool_],
    k: int,
    generator: numpy.random.Generator,
) -> NDArray[numpy.float64]:
    num_replicates, n = votes.shape
    wins = numpy.zeros(num_replicates)
    num_shuffles = 1 if k in (1, n) else _NUM_SHUFFLES
    for _ in range(num_shuffles):
        subsets = votes[:, : n // k * k].reshape(-1, k)
        counts = _count_classes(subsets, len(is_right))
        first = (counts == counts.max(axis=1, initial=1, keepdims=True)).astype(float)
        shares = (first * is_right).sum(axis=1) / numpy.maximum(first.sum(axis=1), 1)
        wins += shares.reshape(num_replicates, -1).mean(axis=1)
        if num_shuffles > 1:
            votes = generator.permuted(votes, axis=1)
    return wins / num_shuffles


def _count_classes(votes: NDArray[numpy.int64], num_classes: int) -> NDArray[numpy.int64]:
    """Count each row's votes per class, abstentions (-1) left out: (rows, classes)."""
    width = num_classes + 1
    cells = votes + 1 + numpy.arange(len(votes))[:, None] * width
    counts = numpy.bincount(cells.ravel(), minlength=len(votes) * width)
    return counts.reshape(-1, width)[:, 1:]


@lru_cache(maxsize=1024)
def _table(estimator, n: int, *draw: float) -> NDArray[numpy.float64]:
    """An estimator's value for each number of correct samples."""
    return numpy.array([estimator(n, c, *draw) for c in range(n + 1)])


def is_share(metric: str) -> bool:
    """Tell whether a metric lies in [0, 1]."""
    return metric not in ("mean_length", "num_distinct_answers")


def standard_error(values: Sequence[float]) -> float | None:
    """Return the between-problem standard error of a mean, s / sqrt(P); None for one problem.

    Example:
        >>> standard_error([0.0, 1.0]), standard_error([1.0])
        (0.5, None)
    """
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


def group_by_problem(samples: Iterable[SampleRecord]) -> dict[str, list[SampleRecord]]:
    """Group samples by problem, problems in order of first appearance, samples by their number."""
    groups: dict[str, list[SampleRecord]] = {}
    for sample in samples:
        groups.setdefault(sample.problem_id, []).append(sample)
    return {name: sorted(group, key=lambda sample: sample.sample) for name, group in groups.items()}


def default_ks(num_samples: int) -> list[int]:
    """Return the powers of four up to n, and n.

    Example:
        >>> default_ks(16), default_ks(10)
        ([1, 4, 16], [1, 4, 10])
    """
    powers = [4**i for i in range(num_samples.bit_length()) if 4**i <= num_samples]
    return sorted({*powers, num_samples})


def check_ks(ks: Sequence[int], num_samples: int) -> list[int]:
    """Return the sizes k in ascending order, each once.

    Raises:
        InputError: If num_samples < 1 or a k is not in [1, num_samples].
    """
    if num_samples < 1:
        raise InputError(f"num_samples: got {num_samples}, expected at least 1. Raise num_samples.")
    for k in ks:
        if not 1 <= k <= num_samples:
            raise InputError(
                f"k: got {k}, expected between 1 and num_samples ({num_samples}). Lower k or raise "
                "num_samples."
            )
    return sorted(set(ks))
