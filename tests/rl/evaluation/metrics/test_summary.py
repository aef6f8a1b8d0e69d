import gzip
import json
from dataclasses import replace
from itertools import combinations
from math import comb
from pathlib import Path

import numpy
import pytest

from rl.evaluation.grading import grade
from rl.evaluation.metrics.summary import (
    MetricChoice,
    group_by_problem,
    metric_rows,
    problem_metrics,
    resampled_metrics,
    summarize,
)
from rl.evaluation.records import SampleRecord

# Real completions, beside the checkout where the machine has them.
DEV_FILE = Path(__file__).parents[5] / "shared" / "data" / "math_completions_dev.jsonl.gz"


def sample(number, cluster, correct=False, problem_id="p", num_tokens=4, truncated=False):
    return SampleRecord(
        problem_id=problem_id,
        sample=number,
        seed=0,
        prompt_id="",
        completion="",
        num_tokens=num_tokens,
        truncated=truncated,
        cluster=cluster,
        correct=correct,
        label="1",
    )


def group(*clusters, right=0, problem_id="p", **facts):
    return [
        sample(i, cluster, cluster == right and cluster is not None, problem_id, **facts)
        for i, cluster in enumerate(clusters)
    ]


def test_the_metrics_of_one_problem_by_hand():
    # n = 4, c = 2: classes {right: 2, other: 1}, one abstains.
    found = problem_metrics(group(0, 1, None, 0), MetricChoice(ks=(1, 2), thresholds=(0.5,)))
    assert found == pytest.approx(
        {
            "pass@1": 0.5,
            "pass@2": 5 / 6,
            "maj@1": 0.5,
            "maj@2": 4 / 6,  # right-right 1, right-other 2 x 1/2, right-none 2
            "pass^1": 0.5,
            "pass^2": 1 / 6,
            "g-pass@1_0.5": 0.5,
            "g-pass@2_0.5": 5 / 6,
            "avg@4": 0.5,
            "mean_length": 4.0,
            "no_answer_frac": 0.25,
            "truncated_frac": 0.0,
            "majority_ratio": 0.5,
            "num_distinct_answers": 2.0,
        }
    )


def test_what_samples_do_not_say_is_left_out():
    known = summarize(group(0, 1), [1])
    assert {"mean_length", "truncated_frac"} <= known.keys()
    unknown = summarize(group(0, 1, num_tokens=None, truncated=None), [1])
    assert known.keys() - unknown.keys() == {"mean_length", "truncated_frac"}


def test_the_standard_error_is_between_problems():
    # Shares 1, 0.5 and 0: s = 0.5, divided by sqrt(3).
    samples = group(0, 0, problem_id="a") + group(0, 1, problem_id="b")
    samples += group(1, 1, problem_id="c")
    assert summarize(samples, [1])["pass@1"].standard_error == pytest.approx(0.5 / 3**0.5)
    assert summarize(group(0, 1), [1])["pass@1"].standard_error is None


def test_problems_that_cannot_vary_have_no_width():
    samples = group(0, 0, problem_id="a") + group(0, 0, problem_id="b")
    for estimate in summarize(samples, [1, 2]).values():
        assert estimate.ci_low == estimate.value == estimate.ci_high


def test_nobody_answering_is_summarized_too():
    found = summarize(group(None, None), [1, 2])
    assert found["maj@2"].value == found["pass@2"].value == found["majority_ratio"].value == 0.0
    assert found["no_answer_frac"].value == 1.0


def every_resample(samples, choice):
    """The mean of each metric over all n**n resamples of one problem, exactly."""
    n = len(samples)
    rows = []
    for code in range(n**n):
        drawn = [samples[code // n**i % n] for i in range(n)]
        rows.append(list(problem_metrics(drawn, choice).values()))
    return numpy.mean(rows, axis=0), numpy.var(rows, axis=0)


@pytest.mark.parametrize(
    "clusters", [(0, 0, 1, None), (0, 1, 2, 3), (1, 1, 0, 0), (None, None, 0, 1)]
)
def test_resamples_have_the_mean_and_the_variance_of_all_resamples(clusters):
    samples = group(*clusters)
    choice = MetricChoice(ks=(1, 2, 4), thresholds=(0.5,))
    found = numpy.concatenate([resampled_metrics([samples], choice, seed) for seed in range(6)])
    found = found.reshape(-1, found.shape[-1])
    mean, variance = every_resample(samples, choice)
    # 6,000 resamples: a standard error of at most 0.5 / 77 = 0.0065 for shares.
    numpy.testing.assert_allclose(found.mean(axis=0), mean, atol=0.03)
    names = list(problem_metrics(samples, choice))
    exact = [i for i, name in enumerate(names) if name != "maj@2"]
    numpy.testing.assert_allclose(found.var(axis=0)[exact], variance[exact], atol=0.03)
    # maj@2 of a resample is estimated from 8 of its pairs, which adds a little noise.
    loose = names.index("maj@2")
    assert variance[loose] - 0.03 <= found.var(axis=0)[loose] <= variance[loose] + 0.06


def test_problems_of_different_size_are_refused():
    with pytest.raises(ValueError, match=r"got \[1, 2\], expected one number"):
        metric_rows([group(0), group(0, 1)], MetricChoice(ks=(1,)))


@pytest.mark.skipif(not DEV_FILE.exists(), reason="the shared completions are not here")
def test_pass_at_k_of_real_completions_equals_the_closed_form():
    samples = []
    with gzip.open(DEV_FILE, "rt") as lines:
        for row in map(json.loads, lines):
            records = [
                SampleRecord(
                    problem_id=row["id"],
                    sample=i,
                    seed=None,
                    prompt_id="",
                    completion=text,
                    num_tokens=None,
                    truncated=None,
                    label=row["gold"],
                )
                for i, text in enumerate(row["completions"])
            ]
            samples += grade(records)
    groups = group_by_problem(samples)
    assert {len(one) for one in groups.values()} == {64}
    ks = [1, 2, 4, 8, 16, 32, 64]
    found = summarize(samples, ks)
    for k in ks:
        # One minus the chance that all of k draws without replacement are wrong, draw by draw.
        chances = []
        for one in groups.values():
            wrong = sum(not s.correct for s in one)
            miss = 1.0
            for i in range(k):
                miss *= max(0, wrong - i) / (64 - i)
            chances.append(1 - miss)
        assert found[f"pass@{k}"].value == pytest.approx(sum(chances) / len(chances), abs=1e-9)
    assert found["pass@1"].value == pytest.approx(found["avg@64"].value, abs=1e-12)
    assert found["maj@1"].value == pytest.approx(found["pass@1"].value, abs=1e-12)


def test_pass_at_k_is_the_count_over_all_subsets():
    verdicts = [True, False, False, True, False, False]
    samples = [sample(i, int(not right), right) for i, right in enumerate(verdicts)]
    for k in range(1, 7):
        wins = sum(any(subset) for subset in combinations(verdicts, k))
        expected = wins / comb(6, k)
        assert problem_metrics(samples, MetricChoice(ks=(k,)))[f"pass@{k}"] == pytest.approx(
            expected
        )


def with_facts(samples, **facts):
    """Set a field of each sample to its value in a list, or of all to the same value."""
    return [
        replace(one, **{k: v[i] if isinstance(v, list) else v for k, v in facts.items()})
        for i, one in enumerate(samples)
    ]


def test_scores_of_a_rule_are_averaged_over_samples_then_problems():
    one = with_facts(group(0, None), scores=[{"f1": 1.0}, {"f1": 0.5}])
    other = with_facts(group(1, 1, problem_id="q"), scores=[{"f1": 0.0}, {"f1": 0.25}])
    found = summarize([*one, *other], [1])["f1"]
    # (0.75 + 0.125) / 2
    assert (found.value, found.n) == (0.4375, 2)
    assert 0 <= found.ci_low < 0.4375 < found.ci_high <= 1
    assert "f1" not in summarize([*one, *group(1, 1, problem_id="q")], [1])  # not all have it
    assert "cut_prompt_frac" not in summarize(one, [1])


def test_prompts_that_were_cut_are_counted():
    cut = with_facts(group(0, 0), prompt_cut=True)
    found = summarize([*cut, *group(0, 0, problem_id="q"), *group(0, 0, problem_id="r")], [1])
    assert found["cut_prompt_frac"].value == pytest.approx(1 / 3)


def test_accuracy_is_reported_within_each_stratum():
    # Right: 1 of 2, 0 of 2 and 2 of 2.
    samples = [
        *with_facts(group(0, 1, problem_id="a"), strata={"length": "short", "type": "x"}),
        *with_facts(group(1, 1, problem_id="b"), strata={"length": "long", "type": "x"}),
        *with_facts(group(0, 0, problem_id="c"), strata={"length": "short"}),
    ]
    found = summarize(samples, [1, 2])
    within = {name: (one.value, one.n) for name, one in found.items() if "/" in name}
    assert within == {"length/long": (0, 1), "length/short": (0.75, 2), "type/x": (0.25, 2)}
    assert list(found)[-3:] == sorted(within)  # last, in an order of their own
    assert found["avg@2"].value == 0.5
    # The one problem that is short and of type x does not know its error.
    assert found["length/long"].standard_error is None


def test_two_evaluations_share_the_scores_that_both_have():
    a = MetricChoice(ks=(1,), scores=("f1", "exact_match"), has_cut_prompts=True)
    b = MetricChoice(ks=(1,), scores=("exact_match",), has_lengths=False)
    assert a.shared_with(b, [1, 4]) == MetricChoice(
        ks=(1, 4), scores=("exact_match",), has_lengths=False, has_cut_prompts=True
    )
