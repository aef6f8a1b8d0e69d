"""The table of results."""

from rl.report.result_table import Cell, base_cell, metric_cell, result_table, shown_columns
from rl.report.results import BaseControl, ResultRow, Value


def row(when, values, **more):
    given = {"run": "demo", "supervised": False, "benchmark": "heldout", **more}
    values = {name: Value(value=value) for name, value in values.items()}
    return ResultRow(when=when, values=values, **given)


def test_no_results():
    assert result_table([]) == ([], [])
    assert shown_columns([]) == []


def test_before_and_after_share_a_row_and_the_base_stands_beside_pass_at_1():
    base = {"greedy": BaseControl(Value(value=0.1), passed=Value(value=0.5, low=0.4, high=0.6))}
    rows = [
        row("before", {"pass@1": 0.25, "maj@4": 0.5, "maj@16": 0.75}),
        row("after", {"pass@1": 0.6, "pass@16": 1.0, "mean_length": 18.04}, base=base),
    ]
    columns, [told] = result_table(rows)
    assert columns == ["pass@1", "base greedy", "maj@16", "pass@16", "mean_length"]
    assert [cell.text for cell in told.cells] == [
        "0.250 → 0.600",
        "0.100",
        "0.750 → ?",
        "? → 1.000",
        "? → 18.0",
    ]
    assert told.cells[1].below == ["+0.500", "+0.400 to +0.600"]
    assert (told.run, told.benchmark, told.about) == ("demo", "heldout", "")


def test_rows_that_stand_alone():
    rows = [
        row("after", {"pass@1": 0.5}, benchmark="a"),
        row("before", {"pass@1": 0.5}, benchmark="b"),
        row("evaluation", {"mean_length": 3}, run="eval", overlap="held out"),
    ]
    columns, table = result_table(rows)
    assert columns == ["pass@1", "mean_length"]
    assert [one.about for one in table] == ["after training", "before training", "held out"]
    assert [one.cells for one in table] == [
        [Cell(text="0.500"), None],
        [Cell(text="0.500"), None],
        [None, Cell(text="3.000")],
    ]


def test_cells():
    assert metric_cell([None, None]) is metric_cell([]) is base_cell(None) is None
    # The interval is that of the last value, and of nothing else.
    first = Value(value=0.5, low=0.25, high=0.75)
    assert metric_cell([first, Value(value=1)]) == Cell(text="0.500 → 1.000")
    assert base_cell(BaseControl(Value(value=0.5), "of 16")) == Cell(text="0.500 of 16")


def test_a_base_that_another_run_measured_is_the_start():
    base = {"vote": BaseControl(Value(value=0.5), "of 16")}
    lent = {"base": base, "start": {"pass@1": Value(value=0.25)}, "base_of": "other"}
    _, [told] = result_table([row("after", {"pass@1": 0.5}, **lent)])
    assert told.about == "base measured by other"
    assert told.cells == [Cell(text="0.250 → 0.500"), Cell(text="0.500 of 16")]
