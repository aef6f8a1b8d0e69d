"""Side-by-side studies: many short runs that differ in one thing, and what came of them.

A study is a YAML file:

    recipe: FILE          what all runs share
    settings: {...}       on top of it
    seeds: [0, 1, 2]
    variants: {NAME: {...}, ...}   settings under which every method runs
    methods: {NAME: {...}, ...}    what is compared
    columns: {HEADING: VALUE, ...}  of the table, if not the usual ones

Every method runs under every variant with every seed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rl.errors import InputError, unknown_name
from rl.report.curves import read_series
from rl.report.folders import read_whole_lines
from rl.settings import Seed, check_value
from rl.training.recipe import load_recipe

KEYS = ("recipe", "settings", "seeds", "variants", "methods", "columns")
BASE = "base model"
CONTROLS = {"base greedy": "greedy", "base majority": "majority"}
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
        seed: The run's seed.
        settings: Everything on top of the study's recipe.
    """

    method: str
    variant: str
    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Folder of the run within the study's."""
        words = "".join(c if c.isalnum() else " " for c in self.method.lower()).split()
        return f"{'_'.join(words)}-{self.variant}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study as read from its file.

    Attributes:
        recipe: What all runs share.
        runs: All runs, methods first, then variants, then seeds.
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
    shared = check_value("study settings", dict[str, Any], document.get("settings") or {})
    methods, variants = list(document["methods"]), list(document["variants"])
    runs = [
        StudyRun(
            method=method,
            variant=variant,
            seed=seed,
            # The first run evaluates the base model, and the first of a variant that names another.
            settings={
                **shared,
                **(document["variants"][variant] or {}),
                **(document["methods"][method] or {}),
                "seed": seed,
                "eval_base": (method, seed) == (methods[0], document["seeds"][0])
                and (variant == variants[0] or "model" in (document["variants"][variant] or {})),
            },
        )
        for method, variant, seed in product(methods, variants, document["seeds"])
    ]
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"study methods: got two with the folder {name}, expected names that differ in "
                "letters or digits. Rename one."
            )
    return Study(recipe=document["recipe"], runs=runs, columns=document.get("columns") or {})


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """What one method came to under one variant.

    Attributes:
        method: Its name, `BASE` or one of `CONTROLS`.
        variant: The variant's name.
        num_seeds: Finished runs.
        values: Benchmark and metric, such as "easy pass@1", -> value of each seed.
    """

    method: str
    variant: str
    num_seeds: int
    values: dict[str, list[float]]


def collect(study: Study, output_dir: Path) -> list[StudyRow]:
    """Read what the finished runs of a study left.

    Returns:
        For each variant the base model, its controls, and then every method with a finished run, in
        the study's order. Values are the final metrics of every benchmark, the means of
        `TRAINING_METRICS` over the last steps of training where a run has them, and
        `sampled_tokens`, in millions.
    """
    rows = []
    for variant in dict.fromkeys(run.variant for run in study.runs):
        own = next(run for run in study.runs if run.variant == variant)
        for run in (own, study.runs[0]):
            base = _base_rows(_read_summary(output_dir / run.name) or {}, variant)
            if base:
                rows += base
                break
        for method in dict.fromkeys(run.method for run in study.runs):
            found = []
            for run in study.runs:
                summary = _read_summary(output_dir / run.name)
                if (run.method, run.variant) == (method, variant) and summary:
                    found.append(_flat(summary["after"]) | _training_values(output_dir / run.name))
            if found:
                values = {name: [result[name] for result in found] for name in found[0]}
                rows.append(
                    StudyRow(method=method, variant=variant, num_seeds=len(found), values=values)
                )
    return rows


def _base_rows(summary: Mapping[str, Any], variant: str) -> list[StudyRow]:
    """Rows of what the base model reaches: sampled, and by its controls, as their pass@1."""
    found = {BASE: _flat(summary["before"])} if "before" in summary else {}
    for name, key in CONTROLS.items():
        controls = _flat(summary.get("controls", {}))
        values = {k: v for k, v in controls.items() if k.rpartition(" ")[2] == key}
        found[name] = {f"{k.removesuffix(key)}pass@1": value for k, value in values.items()}
    return [
        StudyRow(
            method=name,
            variant=variant,
            num_seeds=1,
            values={metric: [value] for metric, value in values.items()},
        )
        for name, values in found.items()
        if values
    ]


def _read_summary(folder: Path) -> dict[str, Any] | None:
    path = folder / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _flat(results: Mapping[str, Any]) -> dict[str, float]:
    """{"runs/testbed/easy/heldout.jsonl": {"pass@1": ...}} -> {"easy pass@1": ...}.

    A file is named by itself, or by its folder if it is called heldout. A run with one benchmark
    names none.
    """
    if not all(isinstance(metrics, dict) for metrics in results.values()):
        return dict(results)
    return {
        f"{path.parent.name if path.stem == 'heldout' else path.stem} {metric}": value
        for path, metrics in ((Path(name), metrics) for name, metrics in results.items())
        for metric, value in metrics.items()
    }


def _training_values(folder: Path) -> dict[str, float]:
    curves = read_curves(folder)
    found = [metric for metric in TRAINING_METRICS if metric in curves]
    values = {metric: fmean(curves[metric]["value"][-LAST_STEPS:]) for metric in found}
    return values | {"sampled_tokens": curves["entropy"]["tokens"][-1] / 1e6}


def read_curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Read how a run's metrics went, as `read_series` has them."""
    return read_series(read_whole_lines(folder / "metrics.jsonl"))


def markdown_table(rows: Sequence[StudyRow], columns: Mapping[str, str]) -> str:
    """Write rows as a Markdown table: mean over seeds, and the sample standard deviation.

    Args:
        rows: Of one variant.
        columns: Heading -> name of a value.

    Returns:
        One line per row; "mean ± deviation", the mean alone for one seed, "-" where a value is
        missing.
    """
    lines = [
        "| " + " | ".join(["method", *columns]) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for row in rows:
        cells = [_cell(row.values.get(name, [])) for name in columns.values()]
        lines.append("| " + " | ".join([row.method, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    digits = 3 if max(map(abs, values)) < 10 else 1
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.{digits}f}"
