import pytest

from rl.evaluation.controls import (
    Controls,
    compare_with_controls,
    measure_controls,
    scores,
    verdict,
)
from rl.evaluation.records import SampleRecord
from rl.rollouts.engine import SamplingSettings

SETTINGS = SamplingSettings(max_completion_length=8)


def record(problem, sample, cluster, correct):
    return SampleRecord(
        problem_id=problem,
        sample=sample,
        seed=0,
        prompt_id="",
        label="",
        completion="",
        answer=None if cluster is None else str(cluster),
        cluster=cluster,
        correct=correct,
        num_tokens=1,
        truncated=False,
    )


def records(problem, verdicts):
    """One sample per letter: r is right, w and v are two wrong answers, - is none."""
    clusters = {"r": 0, "w": 1, "v": 2, "-": None}
    return [record(problem, i, clusters[x], x == "r") for i, x in enumerate(verdicts)]


def test_scores_are_exact_per_problem():
    samples = [*records("b", "rww-"), *records("a", "rrrw")]
    assert scores(samples, "pass@1") == {"a": 0.75, "b": 0.25}
    assert scores(samples, "maj@4") == {"a": 1.0, "b": 0.0}
    assert list(scores(samples, "pass@1")) == ["a", "b"]


def test_the_best_temperature_is_found_and_samples_are_used_again():
    asked = []

    def evaluate(settings, num_samples):
        asked.append((settings.temperature, num_samples))
        # Greedy is wrong; at 0.6 half of the samples are right, elsewhere none.
        right = "rrww" if settings.temperature == 0.6 else "wwww"
        return records("a", right[:num_samples])

    controls = measure_controls(evaluate, SETTINGS, 4, records("a", "rwww"))
    assert asked == [(0.3, 4), (0.6, 4), (0.8, 4), (0.0, 1)]
    assert controls == Controls(
        greedy={"a": 0.0}, cooled={"a": 0.5}, temperature=0.6, majority={"a": 0.0}, num_votes=4
    )


def test_more_votes_than_samples_are_sampled_anew():
    asked = []

    def evaluate(settings, num_samples):
        asked.append((settings.temperature, num_samples))
        return records("a", "r" * num_samples)

    controls = measure_controls(evaluate, SETTINGS, 8, records("a", "rwww"))
    assert asked[0] == (1.0, 8)
    assert controls.majority == {"a": 1.0}
    assert controls.temperature == 1.0  # the run's own, of several that are level


def test_differences_are_paired_by_problem():
    problems = [f"p{i}" for i in range(20)]
    controls = Controls(
        greedy=dict.fromkeys(problems, 0.0),
        cooled={p: 0.25 + i / 38 for i, p in enumerate(problems)},
        temperature=0.6,
        majority=dict.fromkeys(problems, 1.0),
        num_votes=16,
    )
    # A tenth above the cooled base on every problem: the paired interval has no width.
    trained = {p: value + 0.1 for p, value in controls.cooled.items()}
    found = compare_with_controls(trained, controls)
    cooled = found["differences"]["temperature 0.6"]
    assert cooled == pytest.approx({"difference": 0.1, "ci_low": 0.1, "ci_high": 0.1})
    # 0.25 + 9.5 / 38 = 0.5, and 0.1 above it.
    assert found["temperature"] == pytest.approx(0.5)
    assert found["verdict"] == (
        "pass@1 0.600: above the base's greedy (0.000), temperature 0.6 (0.500); "
        "below the base's majority of 16 (1.000)."
    )


def test_what_an_interval_does_not_decide_is_level():
    differences = {"greedy": {"ci_low": -0.1, "ci_high": 0.2}}
    assert verdict(0.5, {"greedy": 0.45}, differences) == (
        "pass@1 0.500: level with the base's greedy (0.450)."
    )
