"""What runs cost and how their settings differ."""

from pathlib import Path

from rl.report.costs_and_settings import cost_rows, setting_rows
from rl.report.folders import ReportedRun


def run_with(**more):
    return ReportedRun(name="demo", path=Path("demo"), kind="run", **more)


def test_costs_of_a_summary_and_of_a_run_without_one():
    finished = run_with(
        summary={"cost": {"seconds": 41.74, "sample_seconds": 12.0, "num_sampled_tokens": 1500.0}},
        metrics=[{"step": 1, "cost/rows_skipped_frac": 0.25}],
    )
    # 1.5 + 2.5 seconds; the mean of 0.5 and 0.75 is 0.625; steps of 3 and 4 seconds.
    killed = run_with(
        metrics=[
            {"cost/sample_seconds": 1.5, "cost/rows_skipped_frac": 0.5, "step_time": 3.0},
            {"cost/sample_seconds": 2.5, "cost/rows_skipped_frac": 0.75, "step_time": 4.0},
            {"cost/sample_seconds": None},
        ]
    )
    rows = {row.name: row.cells for row in cost_rows([finished, killed])}
    assert rows == {
        "seconds": ["41.7 s", ""],
        "seconds in steps": ["", "7.0 s"],
        "sample_seconds": ["12.0 s", "4.0 s"],
        "num_sampled_tokens": ["1,500", ""],
        "rows_skipped_frac": ["0.250", "0.625"],
    }
    assert list(rows) == sorted(rows, key=list(rows).index)
    assert cost_rows([]) == cost_rows([run_with()]) == []


def test_settings_that_differ_come_first():
    first = {"beta": 0.0, "lr": 1e-4, "output_dir": "a", "rewards": {"majority_vote": {}}}
    second = {"beta": 0.0, "lr": 3e-4, "output_dir": "b", "rewards": {"random": {"weight": 2}}}
    rows = setting_rows([run_with(settings=first), run_with(settings=second)])
    assert [(row.name, row.cells, row.differs) for row in rows] == [
        ("lr", ["0.0001", "0.0003"], True),
        ("rewards.majority_vote", ["{}", ""], True),
        ("rewards.random.weight", ["", "2"], True),
        ("beta", ["0.0", "0.0"], False),
        ("output_dir", ["a", "b"], False),  # two runs always differ in it
    ]


def test_settings_of_one_run_and_of_none():
    (row,) = setting_rows([run_with(settings={"answer_methods": ["boxed", None]})])
    assert (row.cells, row.differs) == (["[boxed, null]"], False)
    assert setting_rows([]) == []
