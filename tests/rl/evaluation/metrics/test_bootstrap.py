import numpy
import pytest

from rl.evaluation.metrics.bootstrap import bootstrap_intervals


def test_the_interval_of_equal_values_is_the_value():
    assert bootstrap_intervals([[0.25, 2.0]]) == [(0.25, 0.25), (2.0, 2.0)]
    assert bootstrap_intervals([[0.5]] * 3) == [(0.5, 0.5)]


def test_the_interval_is_that_of_the_binomial_for_each_metric():
    # The mean of 100 resampled zeros and ones with p = 0.5 is Binomial(100, 0.5) / 100, whose 2.5%
    # and 97.5% quantiles are 0.40 and 0.60, widened by sqrt(100 / 99); a step of 0.01 is sampling.
    first, second = bootstrap_intervals([[0.0, 10.0], [1.0, 12.0]] * 50)
    assert first == pytest.approx((0.40, 0.60), abs=0.0111)
    assert second == pytest.approx((10.80, 11.20), abs=0.0221)


def test_the_interval_depends_on_the_seed_alone():
    rows = [[0.0], [1.0], [0.3]] * 9
    assert bootstrap_intervals(rows) == bootstrap_intervals(rows)
    assert bootstrap_intervals(rows) != bootstrap_intervals(rows, seed=1)


def test_of_one_problem_only_its_samples_vary():
    # Replicates 0, 0.5 and 1 as often: their mean is the value, the percentiles their ends.
    replicates = numpy.array([0.0, 0.5, 1.0] * 20).reshape(1, 60, 1)
    assert bootstrap_intervals([[0.5]], replicates) == [(0.0, 1.0)]


def test_a_bias_of_the_replicates_does_not_move_the_interval():
    # Resampled pass@n is too low; only how it varies counts.
    replicates = numpy.array([0.2, 0.4] * 20).reshape(1, 40, 1)
    [(low, high)] = bootstrap_intervals([[0.9]], replicates)
    assert (low, high) == pytest.approx((0.8, 1.0))


def test_shares_stay_shares_and_other_metrics_do_not():
    replicates = numpy.array([[0.0, 0.0], [1.0, 1.0]] * 20).reshape(1, 40, 2)
    share, other = bootstrap_intervals([[0.9, 0.9]], replicates, shares=[True, False])
    assert share == pytest.approx((0.4, 1.0))
    assert other == pytest.approx((0.4, 1.4))


def test_sampling_noise_that_explains_everything_is_not_counted_twice():
    # 400 problems of one difficulty, 0.5, and 4 samples each: a problem's share has the variance
    # 0.25 / 4, its mean over problems the standard error 0.25 / 20 = 0.0125, and the interval the
    # width 2 * 1.96 * 0.0125 = 0.049. Added up naively it would be sqrt(2) times that, 0.069.
    generator = numpy.random.default_rng(0)
    counts = generator.binomial(4, 0.5, size=400)
    replicates = generator.binomial(4, counts[:, None] / 4, size=(400, 200))[:, :, None] / 4
    [(low, high)] = bootstrap_intervals(counts[:, None] / 4, replicates)
    assert high - low == pytest.approx(0.049, abs=0.005)


@pytest.mark.parametrize(
    ("num_problems", "num_samples", "spread"),
    [(30, 4, 1.0), (30, 16, 1.0), (100, 4, 0.0), (150, 64, 2.0)],
    ids=["30x4", "30x16", "100x4_equal", "150x64_spread"],
)
def test_the_interval_covers_the_truth_as_often_as_it_claims(num_problems, num_samples, spread):
    # Problems are drawn from a population whose mean success is 0.5 by symmetry; logits are normal.
    generator = numpy.random.default_rng(7)
    num_trials, num_covered = 300, 0
    for _ in range(num_trials):
        chances = 1 / (1 + numpy.exp(-spread * generator.normal(size=num_problems)))
        shares = generator.binomial(num_samples, chances) / num_samples
        replicates = (
            generator.binomial(num_samples, shares[:, None], size=(num_problems, 50))[:, :, None]
            / num_samples
        )
        [(low, high)] = bootstrap_intervals(
            shares[:, None], replicates, num_resamples=400, seed=int(generator.integers(2**32))
        )
        num_covered += low <= 0.5 <= high
    # 0.95 of 300 with a standard error of 0.0126, and 400 resamples blur the ends.
    assert 0.91 <= num_covered / num_trials <= 0.98


def test_the_interval_of_a_metric_that_resampling_biases_covers_the_truth_too():
    # pass@2 of resampled samples is too low: with c of 4 right it averages below its value. Added
    # up without the correction, the interval would miss the truth most of the time.
    generator = numpy.random.default_rng(11)
    pass_at_2 = numpy.array([0, 3, 5, 6, 6]) / 6  # 1 - C(4 - c, 2) / C(4, 2)
    num_trials, num_covered = 300, 0
    for _ in range(num_trials):
        counts = generator.binomial(4, 0.5, size=100)
        replicates = pass_at_2[generator.binomial(4, counts[:, None] / 4, size=(100, 50))]
        [(low, high)] = bootstrap_intervals(
            pass_at_2[counts][:, None],
            replicates[:, :, None],
            num_resamples=400,
            seed=int(generator.integers(2**32)),
        )
        num_covered += low <= 1 - 0.5**2 <= high
    assert num_covered / num_trials >= 0.91
