"""Side-by-side studies: many short runs that differ in one thing, and what came of them.

A study is a YAML file:

    recipe: FILE          what all runs share
    settings: {...}       on top of it
    bases: [DIR, ...]     folders of base models; `{base}` in a setting stands for one of them
    seeds: [0, 1, 2]
    variants: {NAME: {...}, ...}   settings under which every method runs
    methods: {NAME: {...}, ...}    what is compared
    columns: {HEADING: VALUE, ...}  of the table, if not the usual ones

Every method runs under every variant from every base with every seed. A table has the runs of a
method under a variant in one row, whatever their base and seed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student

from rl.errors import InputError, unknown_name
from rl.report.budgets import at_equal_budgets, read_spending
from rl.report.curves import read_series
from rl.report.folders import read_whole_lines
from rl.report.streams import benchmark_names, stream_values
from rl.settings import Seed, check_value
from rl.training.recipe import load_recipe

KEYS = ("recipe", "settings", "bases", "seeds", "variants", "methods", "columns")
BASE = "base model"
CONTROLS = {
    "base greedy": "greedy",
    "base at its best temperature": "temperature",
    "base majority": "majority",
}
LAST_STEPS = 10
TRAINING_METRICS = (
    "entropy",
    "selfplay/funnel/proposed",
    "selfplay/funnel/informative",
    "selfplay/tokens/questioner",
)


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One run of a study.

    Attributes:
        method: Name of what is compared.
        variant: Name of the settings it runs under.
        base: Folder of its base model; None: the study names none.
        seed: The run's seed.
        settings: Everything on top of the study's recipe.
    """

    method: str
    variant: str
    base: str | None
    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Folder of the run within the study's."""
        words = "".join(c if c.isalnum() else " " for c in self.method.lower()).split()
        return f"{'_'.join(words)}-{self.variant}-{_short_name(self.base, self.seed)}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study as read from its file.

    Attributes:
        recipe: What all runs share.
        runs: All runs: variant by variant, in it method by method, base by base, seed by seed.
        columns: Heading of the table -> value of a `StudyRow`; none: what most studies show.
    """

    recipe: str
    runs: list[StudyRun]
    columns: dict[str, str] = field(default_factory=dict)


def load_study(path: str | Path) -> Study:
    """Read a study.

    Raises:
        InputError: If the file is missing, is not YAML, or does not hold what a study needs.
    """
    document = load_recipe(path)
    for key in document:
        if key not in KEYS:
            raise unknown_name("study key", str(key), list(KEYS))
    for key, kind in (("recipe", str), ("seeds", list), ("variants", dict), ("methods", dict)):
        if not isinstance(document.get(key), kind) or not document[key]:
            raise InputError(
                f"study {key}: got {document.get(key)!r}, expected a filled {kind.__name__}. "
                f"Mend {path}."
            )
    for seed in document["seeds"]:
        check_value("study seeds", Seed, seed)
    for key in ("variants", "methods"):
        for name, settings in document[key].items():
            check_value(f"study {key}.{name}", dict[str, Any] | None, settings)
    check_value("study settings", dict[str, Any] | None, document.get("settings"))
    bases = check_value("study bases", list[str] | None, document.get("bases")) or [None]
    methods, variants = list(document["methods"]), list(document["variants"])
    runs = []
    for variant, method, base, seed in product(variants, methods, bases, document["seeds"]):
        settings = {
            **(document.get("settings") or {}),
            **(document["variants"][variant] or {}),
            **(document["methods"][method] or {}),
        }
        is_first = (method, seed) == (methods[0], document["seeds"][0])
        # The first run of a base evaluates it; a variant may have a model or benchmarks of its own.
        own = {"model", "eval_benchmarks"} & set(document["variants"][variant] or {})
        settings["eval_base"] = is_first and (variant == variants[0] or bool(own))
        settings = _fill_in(settings, base) | {"seed": seed}
        runs.append(
            StudyRun(method=method, variant=variant, base=base, seed=seed, settings=settings)
        )
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"study methods: got two with the folder {name}, expected names that differ in "
                "letters or digits. Rename one."
            )
    return Study(recipe=document["recipe"], runs=runs, columns=document.get("columns") or {})


def _fill_in(value: Any, base: str | None) -> Any:
    """Put the base's folder in place of every `{base}` in settings."""
    if isinstance(value, dict):
        return {key: _fill_in(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, base) for item in value]
    return value.replace("{base}", base) if base is not None and isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """What one method came to under one variant.

    Attributes:
        method: Its name, `BASE` or one of `CONTROLS`.
        variant: The variant's name.
        runs: Base and seed of each finished run; for what is not trained, each base.
        values: Benchmark and metric, such as "easy pass@1", -> value of each of `runs`.
    """

    method: str
    variant: str
    runs: list[str]
    values: dict[str, list[float]]


def collect(study: Study, output_dir: Path) -> list[StudyRow]:
    """Read what the finished runs of a study left.

    Returns:
        For each variant the base models, their controls, and then every method with a finished run,
        in the study's order. Values are the final metrics of every benchmark, the means of
        `TRAINING_METRICS` over the last steps of training where a run has them,
        `sampled_tokens`, in millions, of runs with `eval_every` what they had reached "at equal
        sampled tokens" and "at equal trained rows" (`rl.report.budgets`), and of streams of data
        sets what is kept of each (`rl.report.streams`).
    """
    summaries = {run.name: _read_summary(output_dir / run.name) for run in study.runs}
    finished = [run for run in study.runs if summaries[run.name]]
    reached = _reached_at_equal_budgets(study, finished, output_dir)
    rows = []
    for variant in dict.fromkeys(run.variant for run in study.runs):
        runs = [run for run in finished if run.variant == variant]
        told = ((run.base, summaries[run.name].get("before")) for run in reversed(runs))
        before = {base: found for base, found in told if found}
        for method in (BASE, *CONTROLS):
            found = {}
            for base in dict.fromkeys(run.base for run in study.runs):
                # A variant may have evaluated a base model of its own.
                for run in [r for r in (*runs, *finished) if r.base == base]:
                    values = _base_values(summaries[run.name], method)
                    if values:
                        found.setdefault(_short_name(base), values)
            rows += _row(method, variant, found)
        for method in dict.fromkeys(run.method for run in study.runs):
            found = {
                _short_name(run.base, run.seed): _flat(summaries[run.name]["after"])
                | _training_values(output_dir / run.name)
                | reached[run.name]
                | stream_values(summaries[run.name], before.get(run.base))
                for run in runs
                if run.method == method
            }
            rows += _row(method, variant, found)
    return rows


def _reached_at_equal_budgets(
    study: Study, finished: Sequence[StudyRun], output_dir: Path
) -> dict[str, dict[str, float]]:
    shared = load_recipe(study.recipe)
    spendings = []
    for run in finished:
        settings = {**shared, **run.settings}
        num_rows = settings.get("num_prompts", 0) * settings.get("num_generations", 0)
        lines = read_whole_lines(output_dir / run.name / "metrics.jsonl")
        spendings.append(read_spending(lines, num_rows))
    found = at_equal_budgets(spendings)
    return {run.name: values for run, values in zip(finished, found, strict=True)}


def _row(method: str, variant: str, found: Mapping[str, Mapping[str, float]]) -> list[StudyRow]:
    if not found:
        return []
    first, *others = found.values()
    # What only some of the runs came to is no mean over them.
    names = [name for name in first if all(name in other for other in others)]
    values = {name: [result[name] for result in found.values()] for name in names}
    return [StudyRow(method=method, variant=variant, runs=list(found), values=values)]


def _short_name(base: str | None, *seed: int) -> str:
    return "-".join([*([] if base is None else [Path(base).name]), *map(str, seed)])


def _base_values(summary: Mapping[str, Any], method: str) -> dict[str, float]:
    """Return what the base model reaches: sampled, or by one of its controls, as its pass@1."""
    if method == BASE:
        return _flat(summary.get("before", {}))
    controls = _flat(summary.get("controls", {}))
    key = CONTROLS[method]
    values = {k: v for k, v in controls.items() if k.rpartition(" ")[2] == key}
    return {f"{k.removesuffix(key)}pass@1": value for k, value in values.items()}


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _flat(results: Mapping[str, Any]) -> dict[str, float]:
    """{"runs/testbed/easy/heldout.jsonl": {"pass@1": ...}} -> {"easy pass@1": ...}.

    A run with one benchmark names none; one with several also has the mean over them of each number
    that all of them have.
    """
    if not all(isinstance(metrics, dict) for metrics in results.values()):
        return dict(results)
    called = benchmark_names(results)
    flat = {
        f"{called[benchmark]} {metric}": value
        for benchmark, metrics in results.items()
        for metric, value in metrics.items()
    }
    of_all = [*results.values()] if len(results) > 1 else []
    for metric in of_all[0] if of_all else []:
        values = [metrics.get(metric) for metrics in of_all]
        if all(isinstance(value, int | float) for value in values):
            flat[f"mean {metric}"] = fmean(values)
    return flat


def _training_values(folder: Path) -> dict[str, float]:
    curves = read_curves(folder)
    found = [metric for metric in TRAINING_METRICS if metric in curves]
    values = {metric: fmean(curves[metric]["value"][-LAST_STEPS:]) for metric in found}
    return values | {"sampled_tokens": curves["entropy"]["tokens"][-1] / 1e6}


def read_curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Read how a run's metrics went, as `read_series` has them."""
    return read_series(read_whole_lines(folder / "metrics.jsonl"))


def markdown_table(rows: Sequence[StudyRow], columns: Mapping[str, str]) -> str:
    """Write rows as a Markdown table: mean over runs, and the sample standard deviation.

    Args:
        rows: Of one variant.
        columns: Heading -> name of a value.

    Returns:
        One line per row; "mean ± deviation", the mean alone for one run, "-" where a value is
        missing.
    """
    cells = [[_cell(row.values.get(name, [])) for name in columns.values()] for row in rows]
    return _table("method", [row.method for row in rows], columns, cells)


def differences_table(rows: Sequence[StudyRow], columns: Mapping[str, str]) -> str:
    """Write by how much each method differs from the study's first, as a Markdown table.

    Args:
        rows: Of one variant.
        columns: Heading -> name of a value.

    Returns:
        One line for each further method: "mean (low to high)" of the differences between runs of
        the same base and seed, with Student's 95% interval; the mean alone for one pair, "-" for
        none. Empty if there is only one method.
    """
    trained = [row for row in rows if row.method not in (BASE, *CONTROLS)]
    if len(trained) < 2:
        return ""
    first, *others = trained
    cells = [
        [_difference(_paired(first, row, name)) for name in columns.values()] for row in others
    ]
    return _table(f"against {first.method}", [row.method for row in others], columns, cells)


def _table(
    corner: str, names: Sequence[str], headings: Iterable[str], cells: Sequence[Sequence[str]]
) -> str:
    lines = [[corner, *headings], *([name, *row] for name, row in zip(names, cells, strict=True))]
    rule = "|---" * len(lines[0]) + "|"
    head, *body = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, rule, *body]) + "\n"


def _paired(first: StudyRow, other: StudyRow, name: str) -> list[float]:
    """Return the differences of a value over the runs that both methods have."""
    a, b = (
        dict(zip(row.runs, row.values.get(name, [None] * len(row.runs)), strict=True))
        for row in (first, other)
    )
    pairs = [(a.get(run), value) for run, value in b.items()]
    return [y - x for x, y in pairs if x is not None and y is not None]


def _difference(differences: Sequence[float]) -> str:
    if len(differences) < 2:
        return f"{differences[0]:+.3f}" if differences else "-"
    mean, count = fmean(differences), len(differences)
    half = float(student.ppf(0.975, count - 1)) * stdev(differences) / count**0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    digits = 3 if max(map(abs, values)) < 10 else 1
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.{digits}f}"
