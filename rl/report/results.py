"""Result rows of runs and evaluations: metrics with intervals, the controls that belong beside."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl.evaluation.problems.distinct_names import distinct_names
from rl.report.curves import is_drawable
from rl.report.folders import ReportedRun

# Settings that decide what a base model samples, and so whether two runs' bases are one.
_BASE_SETTINGS = ("model", "model_revision", "temperature", "top_p", "top_k", "min_p")
_BASE_SETTINGS += ("max_completion_length", "system_prompt", "prompt_suffix", "chat_template_path")
_ORDER = ("pass@", "avg@", "maj@", "pass^", "g-pass@", "majority_ratio", "num_distinct", "mean_")


Tone = Literal["good", "bad", "plain"]


@dataclass(frozen=True, kw_only=True)
class Value:
    """A metric's value, with its 95% interval and number of problems where they are known."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


class BaseControl(NamedTuple):
    """What a base model reaches without training.

    Attributes:
        value: Its value.
        what: What it is exactly: "T = 0.8", "of 16"; "" where the name says it.
        passed: By how much the trained pass@1 passes it; None if not known.
    """

    value: Value
    what: str = ""
    passed: Value | None = None


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """What one model reached on one benchmark.

    Attributes:
        run: Name of the run or evaluation.
        supervised: Whether the model was trained with labels.
        benchmark: Short name of the benchmark.
        when: "before" or "after" training, or "evaluation".
        values: Metric -> value, in the order they are shown.
        base: For a row "after" training, what the base model reaches without: "greedy",
            "temperature" (the best of a few) and "vote".
        start: For a row "after" training, the base model's metrics.
        base_of: The run that measured the base model, "" if it is the row's own.
        overlap: Whether the problems were trained on, in the evaluation's own words.
    """

    run: str
    supervised: bool
    benchmark: str
    when: str
    values: dict[str, Value] = field(default_factory=dict)
    base: dict[str, BaseControl] = field(default_factory=dict)
    start: dict[str, Value] = field(default_factory=dict)
    base_of: str = ""
    overlap: str | None = None


def result_rows(run: ReportedRun, others: Sequence[ReportedRun] = ()) -> list[ResultRow]:
    """Return the results of a run (each benchmark before and after) or of an evaluation.

    A run that was evaluated on one benchmark names none; its settings do. What is not a number is
    left out.

    Args:
        run: Whose results.
        others: Runs of the same report: where this one did not measure the base model on a
            benchmark, the first of them that did stands in, if model and sampling are the same.

    Returns:
        Benchmarks in the order of the summary, "before" first; none where nothing was evaluated.
    """
    if run.kind == "evaluation":
        values = read_values(run.summary)
        if not values:
            return []
        benchmark = short_benchmark(str(run.about.get("benchmark", run.name)))
        overlap = _overlap(run.about)
        return [_row(run, benchmark, "evaluation", values, overlap=overlap)]
    before = _by_benchmark(run, "before")
    after = _by_benchmark(run, "after")
    rows = []
    for benchmark, called in _short_names(run).items():
        if benchmark in before:
            rows.append(_row(run, called, "before", before[benchmark]))
        if benchmark in after:
            lender = _lender(run, benchmark, others)
            start = _by_benchmark(lender, "before").get(benchmark, {})
            controls = _controls(lender).get(benchmark, {})
            base = base_controls(start, controls)
            if lender is not run:
                base = {name: of._replace(passed=None) for name, of in base.items()}
            base_of = "" if lender is run else lender.name
            more = {"base": base, "start": start, "base_of": base_of}
            rows.append(_row(run, called, "after", after[benchmark], **more))
    return rows


def _lender(run: ReportedRun, benchmark: str, others: Sequence[ReportedRun]) -> ReportedRun:
    """Return the run itself, or another one that measured its base model where it did not."""
    if _measured_base(run, benchmark):
        return run
    for other in others:
        settings = [[of.settings.get(key) for key in _BASE_SETTINGS] for of in (run, other)]
        same = settings[0] == settings[1] and settings[0][0] is not None
        if same and _measured_base(other, benchmark):
            return other
    return run


def _measured_base(run: ReportedRun, benchmark: str) -> bool:
    return bool(_controls(run).get(benchmark)) or benchmark in _by_benchmark(run, "before")


def _short_names(run: ReportedRun) -> dict[str, str]:
    """Return name -> short name of the benchmarks a run was evaluated on, "before" first."""
    names = [*_by_benchmark(run, "before"), *_by_benchmark(run, "after")]
    return distinct_names(names, short_benchmark)


def read_values(
    metrics: Mapping[str, Any], intervals: Mapping[str, Any] | None = None
) -> dict[str, Value]:
    """Read metrics given as numbers or as {value, ci_low, ci_high, n}, in the order of display.

    Args:
        metrics: Name -> metric.
        intervals: Name -> both ends of the interval of a metric that is given as a number.
    """
    found = {}
    for name, given in metrics.items():
        value = given.get("value") if isinstance(given, Mapping) else given
        if not is_drawable(value):
            continue
        more = given if isinstance(given, Mapping) else {}
        low, high = more.get("ci_low"), more.get("ci_high")
        ends = (intervals or {}).get(name)
        if isinstance(ends, list) and len(ends) == 2:
            low, high = ends
        interval = (low, high) if is_drawable(low) and is_drawable(high) else (None, None)
        found[name] = Value(
            value=value,
            low=interval[0],
            high=interval[1],
            n=more.get("n") if isinstance(more.get("n"), int) else None,
        )
    return dict(sorted(found.items(), key=lambda item: _sort_key(item[0])))


def base_controls(
    before: Mapping[str, Value], controls: Mapping[str, Any]
) -> dict[str, BaseControl]:
    """Return what the base model reaches without training, as `ResultRow.base` has it.

    Args:
        before: The base model's metrics; of a run that measured no controls, the maj@k of the
            largest k is its vote.
        controls: What the run's summary says of its controls, if anything.
    """
    found: dict[str, BaseControl] = {}
    for name, about in (("greedy", ""), ("temperature", "best_temperature"), ("vote", "num_votes")):
        value = controls.get("majority" if name == "vote" else name)
        if is_drawable(value):
            what = {"greedy": "", "temperature": "T = {}", "vote": "of {}"}[name]
            passed = _passed(controls, "majority" if name == "vote" else name)
            told = what.format(controls.get(about))
            found[name] = BaseControl(Value(value=value), told, passed)
    ks = {k: name for name in before if (k := size_of(name, "maj@")) is not None}
    if ks and "vote" not in found:
        found["vote"] = BaseControl(before[ks[max(ks)]], ks[max(ks)])
    return found


def _passed(controls: Mapping[str, Any], control: str) -> Value | None:
    """Read by how much a trained pass@1 passes the control whose name begins so."""
    for name, of in _mapping(controls.get("differences")).items():
        ends: list[Any] = [_mapping(of).get(key) for key in ("difference", "ci_low", "ci_high")]
        if str(name).split()[0] == control and all(is_drawable(end) for end in ends):
            return Value(value=ends[0], low=ends[1], high=ends[2])
    return None


def size_of(name: str, prefix: str) -> int | None:
    """Return the k of a metric such as pass@k; None if the name is another one.

    Example:
        >>> size_of("pass@16", "pass@"), size_of("pass@1 (hard)", "pass@")
        (16, None)
    """
    rest = name.removeprefix(prefix)
    return int(rest) if rest != name and re.fullmatch(r"[0-9]{1,9}", rest) else None


def curve_points(row: ResultRow, prefix: str) -> list[tuple[int, Value]]:
    """Return (k, value) of the row's pass@k or maj@k, k ascending."""
    points = [(size_of(name, prefix), value) for name, value in row.values.items()]
    return sorted((k, value) for k, value in points if k is not None)


def short_benchmark(name: str) -> str:
    """Shorten a path to a name: runs/testbed/easy/heldout.jsonl -> easy/heldout."""
    path = Path(name)
    if not path.suffix:
        return name
    stem = path.name.split(".")[0]
    return f"{path.parent.name}/{stem}" if path.parent.name else stem


def _by_benchmark(run: ReportedRun, when: str) -> dict[str, dict[str, Value]]:
    """Return full name -> values of each benchmark."""
    found = run.summary.get(when)
    if not isinstance(found, Mapping) or not found:
        return {}
    intervals = _mapping(_mapping(run.summary.get("intervals")).get(when))
    values = read_values(found, intervals)
    if values:
        listed = run.settings.get("eval_benchmarks")
        name = str(listed[0]) if isinstance(listed, list) and len(listed) == 1 else "benchmark"
        return {name: values}
    return {
        str(name): values
        for name, metrics in found.items()
        if isinstance(metrics, Mapping)
        and (values := read_values(metrics, _mapping(intervals.get(name))))
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def controls_by_benchmark(run: ReportedRun) -> dict[str, Mapping[str, Any]]:
    """Return what the run's summary says of its controls, by the short names of benchmarks."""
    called = _short_names(run)
    return {called.get(name, short_benchmark(name)): of for name, of in _controls(run).items()}


def _controls(run: ReportedRun) -> dict[str, Mapping[str, Any]]:
    found = run.summary.get("controls")
    if not isinstance(found, Mapping):
        return {}
    if "verdict" in found:
        [*listed] = _by_benchmark(run, "after")
        return {listed[0]: found} if listed else {}
    return {str(name): of for name, of in found.items() if isinstance(of, Mapping)}


def _row(
    run: ReportedRun,
    benchmark: str,
    when: str,
    values: dict[str, Value],
    *,
    overlap: str | None = None,
    **of_base: Any,
) -> ResultRow:
    return ResultRow(
        run=run.name,
        supervised=run.supervised,
        benchmark=benchmark,
        when=when,
        values=values,
        overlap=overlap,
        **of_base,
    )


def _overlap(manifest: Mapping[str, Any]) -> str | None:
    found = manifest.get("train_overlap")
    label = found.get("label") if isinstance(found, Mapping) else None
    return label if isinstance(label, str) else None


def _sort_key(name: str) -> tuple[int, str, int]:
    rank = next((i for i, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))
    number = re.search(r"[0-9]{1,9}", name)
    return rank, re.sub(r"[0-9]+", "", name), int(number[0]) if number else 0
