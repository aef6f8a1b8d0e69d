"""The table of results: a row for each run and benchmark, before and after training in one cell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rl.report.results import BaseControl, ResultRow, Tone, Value, size_of

# Beside pass@1 and the largest maj@k and pass@k.
_OTHERS = ("mean_length", "no_answer_frac")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in a place of the table.

    Attributes:
        text: The value; "0.276 → 0.725" before and after training.
        below: Lines in small letters: the value's interval, or by how much it is passed.
        tone: Whether those lines are good news.
    """

    text: str
    below: list[str] = field(default_factory=list)
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """What one run or evaluation reached on one benchmark.

    Attributes:
        run: Its name.
        supervised: Whether it was trained with labels.
        benchmark: Short name of the benchmark.
        about: What is to know of the row: whether its problems were trained on, which other run
            measured its base model, that only one of both evaluations is there.
        cells: One for each column; None where the value is not known.
    """

    run: str
    supervised: bool
    benchmark: str
    about: str
    cells: list[Cell | None]


def result_table(rows: Sequence[ResultRow]) -> tuple[list[str], list[TableRow]]:
    """Return the names of the columns and the rows.

    Args:
        rows: The results of every run, those of a benchmark before and after training in order.
    """
    metrics = shown_columns(rows)
    controls = list(dict.fromkeys(name for row in rows for name in row.base))
    # What a base reaches stands beside the pass@1 it is compared with.
    split = 1 if metrics[:1] == ["pass@1"] else 0
    columns = [*metrics[:split], *(f"base {name}" for name in controls), *metrics[split:]]
    pairs: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        pairs.setdefault((row.run, row.benchmark), []).append(row)
    table = []
    for pair in pairs.values():
        last = pair[-1]
        sides = [row.values for row in pair]
        if last.base_of and last.start:
            sides.insert(0, last.start)
        values = [metric_cell([side.get(name) for side in sides]) for name in metrics]
        bases = [base_cell(last.base.get(name)) for name in controls]
        notes = [
            last.overlap,
            f"base measured by {last.base_of}" if last.base_of else "",
            f"{last.when} training" if len(sides) == 1 and last.when != "evaluation" else "",
        ]
        row = TableRow(
            run=last.run,
            supervised=last.supervised,
            benchmark=last.benchmark,
            about=", ".join(filter(None, notes)),
            cells=[*values[:split], *bases, *values[split:]],
        )
        table.append(row)
    return columns, table


def shown_columns(rows: Iterable[ResultRow]) -> list[str]:
    """Choose the metrics of the table: pass@1, the largest maj@k and pass@k, a few others.

    Returns:
        Names that at least one row has.
    """
    names = dict.fromkeys(name for row in rows for name in row.values)
    largest = [
        f"{prefix}{max(ks)}"
        for prefix in ("maj@", "pass@")
        if (ks := [k for name in names if (k := size_of(name, prefix)) is not None])
    ]
    wanted = dict.fromkeys(["pass@1", *largest, *_OTHERS])
    return [name for name in wanted if name in names]


def metric_cell(values: Sequence[Value | None]) -> Cell | None:
    """Write a metric before and after training, or of one evaluation; the last one's interval.

    Example:
        >>> metric_cell([Value(value=0.25), Value(value=0.5, low=0.375, high=0.625)])
        Cell(text='0.250 → 0.500', below=['0.375 to 0.625'], tone='plain')
    """
    if not any(values):
        return None
    last = values[-1]
    below = []
    if last is not None and last.low is not None and last.high is not None:
        below = [f"{format_number(last.low)} to {format_number(last.high)}"]
    return Cell(
        text=" → ".join(format_number(of.value) if of else "?" for of in values), below=below
    )


def base_cell(control: BaseControl | None) -> Cell | None:
    """Write what a base model reaches, and by how much the trained pass@1 passes it.

    Example:
        >>> base_cell(BaseControl(Value(value=0.5), "of 16", Value(value=0.1, low=0, high=0.25)))
        Cell(text='0.500 of 16', below=['+0.100', '+0.000 to +0.250'], tone='plain')
    """
    if control is None:
        return None
    below, tone = [], "plain"
    if (
        (passed := control.passed) is not None
        and passed.low is not None
        and passed.high is not None
    ):
        tone = "good" if passed.low > 0 else "bad" if passed.high < 0 else "plain"
        below = [f"{passed.value:+.3f}", f"{passed.low:+.3f} to {passed.high:+.3f}"]
    text = f"{format_number(control.value.value)} {control.what}".strip()
    return Cell(text=text, below=below, tone=tone)


def format_number(value: float) -> str:
    """Write a metric with three decimals below ten, fewer above.

    Example:
        >>> format_number(0.98765), format_number(18.04), format_number(1234.5)
        ('0.988', '18.0', '1,234')
    """
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}"
