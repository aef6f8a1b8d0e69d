"""Intervals of means over problems, by a bootstrap with two levels: problems, samples in them."""

from collections.abc import Sequence

import numpy
from numpy.typing import ArrayLike, NDArray

NUM_RESAMPLES = 2000
_CELLS = 4_000_000  # numbers held at a time


def bootstrap_intervals(
    values: ArrayLike,
    replicates: ArrayLike | None = None,
    *,
    shares: Sequence[bool] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """Return the 95% percentile interval of each metric's mean over problems.

    A resample draws P problems with replacement and, for each, one replicate: the metric of samples
    drawn with replacement from the problem's own. With x a problem's value, y its replicates, m the
    mean of the x, v their variance and w the mean variance of the y, a drawn problem counts

    m + f (sqrt(max(0, 1 - w / v)) (x - m) + y - mean(y)),  f = sqrt(P / (P - 1))

    Two corrections make this cover as often as it claims. The x already hold the noise of their
    samples, so adding the replicates to them as they are would count it twice: the x are shrunk, so
    that the variance per problem is max(v, w), times P / (P - 1). And the metric of a resample is
    biased (pass@n misses samples that were not drawn), so replicates count as deviations from
    their mean.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", section 3.8 (shrinking)
    and 2.3 (f).

    Args:
        values: M metrics of each of P problems, shape (P, M), P at least 1.
        replicates: The same metrics of R resamples of each problem's samples, shape (P, R, M); None
            resamples problems only.
        shares: For each metric whether it lies in [0, 1]; its interval is then cut there.
        num_resamples: Number of resamples.
        seed: Makes the intervals reproducible.

    Returns:
        For each metric the 2.5% and 97.5% percentiles of its resampled means; both are the mean
        itself where nothing varies, between problems or within.
    """
    generator = numpy.random.default_rng(seed)
    exact = numpy.asarray(values, dtype=float)
    num_problems, num_metrics = exact.shape
    inner = numpy.zeros((num_problems, 1, num_metrics))
    if replicates is not None:
        inner = numpy.asarray(replicates, dtype=float)
        inner = inner - inner.mean(axis=1, keepdims=True)
    mean, variance = exact.mean(axis=0), exact.var(axis=0)
    noise = inner.var(axis=1).mean(axis=0)
    ratio = numpy.divide(noise, variance, out=numpy.ones_like(noise), where=variance > 0)
    shrunk = numpy.sqrt(numpy.clip(1 - ratio, 0, None)) * (exact - mean)
    correction = numpy.sqrt(num_problems / max(1, num_problems - 1))
    pool = correction * (shrunk[:, None, :] + inner)  # (P, R, M)
    means = mean + _resampled_means(pool, num_resamples, generator)
    low, high = numpy.percentile(means, [2.5, 97.5], axis=0)
    if shares is not None:
        low = numpy.where(shares, numpy.clip(low, 0, 1), low)
        high = numpy.where(shares, numpy.clip(high, 0, 1), high)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _resampled_means(
    pool: NDArray[numpy.float64], num_resamples: int, generator: numpy.random.Generator
) -> NDArray[numpy.float64]:
    num_problems, num_replicates, num_metrics = pool.shape
    flat = pool.reshape(-1, num_metrics)
    chunk = max(1, _CELLS // (num_problems * num_metrics))
    means = []
    for start in range(0, num_resamples, chunk):
        shape = (min(chunk, num_resamples - start), num_problems)
        problems = generator.integers(num_problems, size=shape)
        drawn = problems * num_replicates + generator.integers(num_replicates, size=shape)
        means.append(flat[drawn].mean(axis=1))
    return numpy.concatenate(means)
