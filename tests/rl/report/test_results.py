"""Result rows from every form a summary has."""

from pathlib import Path

import pytest

from rl.report.folders import ReportedRun
from rl.report.results import (
    BaseControl,
    Value,
    base_controls,
    controls_by_benchmark,
    curve_points,
    read_values,
    result_rows,
    short_benchmark,
)


def run_with(summary, **more):
    given = {"name": "demo", "path": Path("demo"), "kind": "run", **more}
    return ReportedRun(summary=summary, **given)


def test_nothing_evaluated_gives_no_row():
    assert result_rows(run_with({})) == []
    assert result_rows(run_with({"before": {}, "after": {}, "cost": {"seconds": 1.0}})) == []
    assert result_rows(run_with({"before": "nonsense"})) == []


def test_one_benchmark_before_and_after():
    summary = {
        "before": {"maj@16": 0.75, "pass@16": 1.0, "pass@1": 0.5, "maj@1": 0.5},
        "after": {"pass@1": 0.625, "maj@16": 0.875, "mean_length": 18.0},
    }
    settings = {"eval_benchmarks": ["runs/testbed/easy/heldout.jsonl"]}
    before, after = result_rows(run_with(summary, settings=settings, supervised=True))
    assert (before.when, before.benchmark, before.supervised) == ("before", "easy/heldout", True)
    assert list(before.values) == ["pass@1", "pass@16", "maj@1", "maj@16"]
    assert before.base == {}
    # The base model's vote over the most samples stands beside what training reached.
    assert after.base == {"vote": BaseControl(Value(value=0.75), "maj@16")}
    assert curve_points(before, "pass@") == [(1, Value(value=0.5)), (16, Value(value=1.0))]


def test_several_benchmarks_and_one_that_was_not_evaluated_before():
    summary = {
        "before": {"a/x.jsonl": {"pass@1": 0.5}},
        "after": {"a/x.jsonl": {"pass@1": 0.6}, "math500": {"pass@1": {"value": 0.7, "n": 500}}},
    }
    rows = result_rows(run_with(summary))
    assert [(row.benchmark, row.when) for row in rows] == [
        ("a/x", "before"),
        ("a/x", "after"),
        ("math500", "after"),
    ]
    assert rows[2].values == {"pass@1": Value(value=0.7, n=500)}
    assert rows[1].base == {}  # the base has no vote


def test_benchmarks_of_one_name_keep_their_rows_and_controls():
    names = ["p/x/a.jsonl", "q/x/a.jsonl"]
    controls = {name: {"greedy": greedy} for name, greedy in zip(names, (0.1, 0.2), strict=True)}
    summary = {"after": {names[0]: {"pass@1": 0.6}, names[1]: {"pass@1": 0.7}}}
    run = run_with({**summary, "controls": controls})
    found = {row.benchmark: (row.values, row.base) for row in result_rows(run)}
    assert found == {
        "p/x/a": ({"pass@1": Value(value=0.6)}, {"greedy": BaseControl(Value(value=0.1))}),
        "q/x/a": ({"pass@1": Value(value=0.7)}, {"greedy": BaseControl(Value(value=0.2))}),
    }
    assert controls_by_benchmark(run) == {"p/x/a": {"greedy": 0.1}, "q/x/a": {"greedy": 0.2}}
    # Where a run was evaluated on one of them alone, its base is the one of that one.
    settings = {"model": "m"}
    lender = run_with({"before": summary["after"], "controls": controls}, settings=settings)
    own = {"model": "m", "eval_benchmarks": names[1:]}
    [row] = result_rows(run_with({"after": {"pass@1": 0.8}}, settings=own), [lender])
    assert row.base["greedy"] == BaseControl(Value(value=0.2))


def test_an_evaluation_has_intervals_and_says_what_was_trained_on():
    summary = {"pass@1": {"value": 0.5, "ci_low": 0.25, "ci_high": 0.75, "n": 128}}
    about = {"benchmark": "aime24", "train_overlap": {"label": "transductive"}}
    (row,) = result_rows(run_with(summary, kind="evaluation", about=about))
    assert (row.when, row.benchmark, row.overlap) == ("evaluation", "aime24", "transductive")
    assert row.values["pass@1"] == Value(value=0.5, low=0.25, high=0.75, n=128)


def test_what_is_no_finite_number_is_left_out():
    nan = float("nan")
    given = {"a": nan, "b": None, "c": True, "d": "0.5", "e": {"value": nan}, "f": float("inf")}
    assert read_values(given) == {}
    # Half an interval is none.
    assert read_values({"g": {"value": 1, "ci_low": 0.5}}) == {"g": Value(value=1.0)}


def test_the_vote_of_most_samples():
    values = {"maj@4": Value(value=0.1), "maj@16": Value(value=0.2), "maj@x": Value(value=0.3)}
    assert base_controls(values, {}) == {"vote": BaseControl(Value(value=0.2), "maj@16")}
    assert base_controls({"pass@1": Value(value=0.1)}, {}) == {}


def test_controls_that_the_run_measured_come_first():
    controls = {
        "greedy": 0.05,
        "temperature": 0.3,
        "best_temperature": 0.8,
        "majority": 0.5,
        "num_votes": 16,
        "verdict": "...",
        "differences": {
            "greedy": {"difference": 0.55, "ci_low": 0.5, "ci_high": 0.6},
            "majority of 16": {"difference": 0.1, "ci_low": -0.05, "ci_high": 0.25},
            "temperature 0.8": "nonsense",
        },
    }
    summary = {
        "before": {"pass@1": 0.2, "maj@8": 0.4},
        "after": {"pass@1": 0.6},
        "controls": controls,
    }
    settings = {"eval_benchmarks": ["a/heldout.jsonl"]}
    _, after = result_rows(run_with(summary, settings=settings))
    assert after.base == {
        "greedy": BaseControl(Value(value=0.05), passed=Value(value=0.55, low=0.5, high=0.6)),
        "temperature": BaseControl(Value(value=0.3), "T = 0.8"),
        "vote": BaseControl(Value(value=0.5), "of 16", Value(value=0.1, low=-0.05, high=0.25)),
    }


def test_a_base_is_lent_where_model_problems_and_sampling_are_the_same():
    settings = {"model": "m", "temperature": 1.0, "eval_benchmarks": ["x/a.jsonl"]}
    controls = {"greedy": 0.25, "verdict": "...", "differences": {}}
    summary = {"before": {"pass@1": 0.5}, "after": {"pass@1": 0.5}, "controls": controls}
    lender = run_with(summary, name="lender", settings=settings)
    borrower = {"after": {"pass@1": 0.75}}
    [row] = result_rows(run_with(borrower, settings=settings), [lender])
    assert row.base == {"greedy": BaseControl(Value(value=0.25))}
    assert (row.start, row.base_of) == ({"pass@1": Value(value=0.5)}, "lender")
    for other in (
        {**settings, "temperature": 0.5},
        {**settings, "model": "n"},
        {**settings, "eval_benchmarks": ["y/x/a.jsonl"]},  # the same short name
        {},
    ):
        [row] = result_rows(run_with(borrower, settings=other), [lender])
        assert (row.base, row.start, row.base_of) == ({}, {}, "")
    # What the run measured itself comes first.
    _, row = result_rows(run_with(summary, name="own", settings=settings), [lender])
    assert row.base_of == ""


def test_intervals_of_a_run_stand_beside_its_numbers():
    summary = {
        "before": {"pass@1": 0.2},
        "after": {"pass@1": 0.6, "maj@4": 0.5},
        "intervals": {"before": {"pass@1": [0.1, 0.3]}, "after": {"pass@1": [0.5, None]}},
    }
    before, after = result_rows(run_with(summary))
    assert before.values["pass@1"] == Value(value=0.2, low=0.1, high=0.3)
    assert after.values == {"pass@1": Value(value=0.6), "maj@4": Value(value=0.5)}
    several = {
        "after": {"a/x.jsonl": {"pass@1": 0.6}},
        "intervals": {"after": {"a/x.jsonl": {"pass@1": [0.5, 0.75]}}},
    }
    [row] = result_rows(run_with(several))
    assert row.values["pass@1"] == Value(value=0.6, low=0.5, high=0.75)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("math500", "math500"),
        ("HuggingFaceH4/aime_2024", "HuggingFaceH4/aime_2024"),
        ("runs/testbed/hard/heldout.jsonl", "hard/heldout"),
        ("mine.jsonl.gz", "mine"),
    ],
)
def test_short_names_of_benchmarks(name, short):
    assert short_benchmark(name) == short
