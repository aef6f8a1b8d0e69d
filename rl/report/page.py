"""Put a report together: one HTML page that needs no network and runs only its own two scripts.

Text of models reaches the page compressed and encoded, and is shown by the page's script as text
alone. The page's Content-Security-Policy names the SHA-256 of its two scripts: the browser runs no
other, and loads nothing.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rl.report.costs_and_settings import cost_rows, one_line, setting_rows
from rl.report.curves import MAX_POINTS, read_series
from rl.report.embedding import compress, embed_json, to_json
from rl.report.folders import ReportedRun
from rl.report.formulas import PATTERN
from rl.report.grids import make_grids
from rl.report.group_choice import REASONS
from rl.report.packing import blob_name, rollout_blobs
from rl.report.rendered_maths import RenderedMaths
from rl.report.result_table import format_number, result_table
from rl.report.results import ResultRow, curve_points, result_rows
from rl.report.shown_rollouts import ShownRollouts
from rl.report.thumbnails import Thumbnails
from rl.report.verdicts import statements

# Told apart by people with any colour vision, on white and on black (Okabe and Ito, 2008, and two).
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f")

# The files of the page's script, in the order they are put together.
SCRIPTS = ("basics", "maths", "images", "charts", "rollouts", "grids", "search", "start")


def render_page(
    runs: Sequence[ReportedRun],
    rollouts: Sequence[ShownRollouts],
    maths: RenderedMaths,
    thumbnails: Thumbnails | None = None,
    *,
    smoothing: int,
    date: str,
) -> str:
    """Return the page.

    Args:
        runs: Everything the report is about, at least one.
        rollouts: The rollouts to show of each.
        maths: The formulas to show rendered.
        thumbnails: The images to show.
        smoothing: Steps a curve is averaged over when the page opens, at least 1.
        date: When the report was made, as it is shown.
    """
    trained = [run for run in runs if run.kind == "run"]
    rows = {run.name: result_rows(run, trained) for run in runs}
    all_rows = [row for of_run in rows.values() for row in of_run]
    library, script = chart_library(), page_script()
    draws_curves = any(run.metrics for run in runs)
    draws_pass = any(_curve(row) for row in all_rows)
    blobs = rollout_blobs(rollouts)
    series = [read_series(run.metrics) for run in runs] if draws_curves or draws_pass else []
    grids = [asdict(grid) for grid in make_grids(runs, rollouts)]
    images = thumbnails.images if thumbnails else {}
    more = {"series": series, "maths": maths.trees, "thumbnails": images, "grids": grids}
    blobs |= {name: compress(to_json(value)) for name, value in more.items() if value}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = format_number
    return environment.from_string(_resource("report.html.j2")).render(
        policy=_policy(library, script),
        style=Markup(_resource("report.css")),
        script=Markup(script),
        library=compress(library) if draws_curves or draws_pass else "",
        blobs=blobs,
        data=Markup(embed_json(_page_data(runs, rows, rollouts, smoothing))),
        title=", ".join(run.name for run in runs),
        date=date,
        runs=[
            _headline(run, color_of(i)) | {"statements": statements(run, rows[run.name])}
            for i, run in enumerate(runs)
        ],
        trained=[run.name for run in trained],
        **_results(all_rows),
        costs=cost_rows(trained),
        settings=[table for kind in ("run", "evaluation") if (table := _settings(runs, kind))],
        notes=[(run.name, shown.notes) for run, shown in zip(runs, rollouts, strict=True)],
        maths_note=maths.note,
        images_note=thumbnails.note if thumbnails else "",
        has_maths=bool(maths.trees),
        thinned=MAX_POINTS if any(len(run.metrics) > MAX_POINTS for run in runs) else None,
        has_curves=draws_curves,
        has_pass_curve=draws_pass,
        has_rollouts=any(shown.step_numbers for shown in rollouts),
        has_grids=bool(grids),
    )


def _results(rows: Sequence[ResultRow]) -> dict[str, Any]:
    columns, table = result_table(rows)
    return {
        "rows": rows,
        "columns": columns,
        "table": [[*of_run] for _, of_run in groupby(table, key=lambda row: row.run)],
        "all_columns": list(dict.fromkeys(name for row in rows for name in row.values)),
        "has_trained": any(row.when == "after" for row in rows),
        "has_base": any(row.base for row in rows),
        "has_intervals": any(v.low is not None for row in rows for v in row.values.values()),
        "has_lent_base": any(row.base_of for row in rows),
        "has_unknown_overlap": any(row.overlap is None for row in rows),
    }


def page_script() -> str:
    """Return the page's own script: its files in one function, which leaves no name outside."""
    parts = "\n".join(_resource(f"scripts/{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def chart_library() -> str:
    """Return the source of plotly.js as Plotly's Python package brings it."""
    return resources.files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")


def color_of(number: int) -> str:
    """Return the colour of the run of that number; more runs than colours begin again."""
    return COLORS[number % len(COLORS)]


def _policy(*scripts: str) -> str:
    hashes = (hashlib.sha256(script.encode("utf-8")).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return resources.files("rl.report").joinpath(name).read_text("utf-8")


def _page_data(
    runs: Sequence[ReportedRun],
    rows: Mapping[str, Sequence[ResultRow]],
    rollouts: Sequence[ShownRollouts],
    smoothing: int,
) -> dict[str, Any]:
    groups = (group for shown in rollouts for step in shown.steps for group in step.groups)
    reasons = {reason for group in groups for reason in group["reasons"]}
    return {
        "smoothing": smoothing,
        "formula": PATTERN,
        "reasons": [name for name in REASONS if name in reasons],
        "runs": [
            {
                "name": run.name,
                "color": color_of(i),
                "kind": run.kind,
                "supervised": run.supervised,
                "curves": [curve for row in rows[run.name] if (curve := _curve(row))],
                "steps": [
                    {"step": step, "blob": blob_name(i, step)} for step in rollouts[i].step_numbers
                ],
            }
            for i, run in enumerate(runs)
        ],
    }


def _curve(row: ResultRow) -> dict[str, Any] | None:
    points = {
        prefix: [{"k": k, **asdict(value)} for k, value in curve_points(row, prefix)]
        for prefix in ("pass@", "maj@")
    }
    if not any(points.values()):
        return None
    return {
        "benchmark": row.benchmark,
        "when": row.when,
        "pass": points["pass@"],
        "maj": points["maj@"],
    }


def _settings(runs: Sequence[ReportedRun], kind: str) -> dict[str, Any] | None:
    chosen = [run for run in runs if run.kind == kind and run.settings]
    rows = setting_rows(chosen)
    title = "training run" if kind == "run" else "evaluation"
    return (
        {
            "title": title if len(chosen) == 1 else f"{title}s",
            "names": [run.name for run in chosen],
            "differing": [row for row in rows if row.differs],
            "same": [row for row in rows if not row.differs],
        }
        if rows
        else None
    )


def _headline(run: ReportedRun, color: str) -> dict[str, Any]:
    steps = [line["step"] for line in run.metrics if isinstance(line.get("step"), int)]
    last = max(steps, default=0)
    planned = run.settings.get("max_steps")
    if run.kind == "evaluation":
        state = "evaluation" if run.is_finished else "evaluation, not finished"
    elif run.is_finished:
        state = f"finished, {last:,} steps"
    else:
        of = f" of {planned:,}" if isinstance(planned, int) and planned > 0 else ""
        state = f"no summary yet: running or stopped at step {last:,}{of}"
    model = run.settings.get("model")
    return {
        "name": run.name,
        "color": color,
        "supervised": run.supervised,
        "state": state,
        "model": str(model) if model else "",
        "rewards": _rewards(run),
        "best": [
            f"{name}: {one_line(value)}"
            for name, value in run.summary.items()
            if name.startswith("best")
        ],
        "commit": str(run.about.get("git_commit") or "")[:10],
        "date": str(run.about.get("date") or ""),
    }


def _rewards(run: ReportedRun) -> str:
    game = run.settings.get("selfplay")
    if isinstance(game, Mapping):
        return f"the game {game.get('game')}"
    found = [run.settings.get(name) for name in ("rewards", "loss_terms")]
    return " + ".join(str(name) for names in found if isinstance(names, Mapping) for name in names)
