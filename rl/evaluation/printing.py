"""What the evaluator prints: metrics, several benchmarks at a glance, and the known benchmarks."""

from collections.abc import Mapping

from rich.table import Table

from rl.evaluation.evaluate import EvaluationResult
from rl.evaluation.problems.prompt_templates import TEMPLATES
from rl.evaluation.problems.registry import BENCHMARKS


def metrics_table(result: EvaluationResult, name: str = "") -> Table:
    """Lay the metrics out: name, value, 95% interval, standard error."""
    num_problems = len({sample.problem_id for sample in result.samples})
    title = f"{num_problems} problems, {len(result.samples) // num_problems} samples each"
    table = Table(
        title=f"{name}: {title}" if name else title,
        caption="interval: bootstrap over problems and samples; error: between problems",
    )
    table.add_column("metric")
    for column in ("value", "95% interval", "standard error"):
        table.add_column(column, justify="right")
    for metric, estimate in result.metrics.items():
        interval = f"{estimate.ci_low:.3f} to {estimate.ci_high:.3f}"
        error = "" if estimate.standard_error is None else f"{estimate.standard_error:.3f}"
        table.add_row(metric, f"{estimate.value:.3f}", interval, error)
    return table


def overview_table(results: Mapping[str, EvaluationResult]) -> Table:
    """Lay several benchmarks out, one a line: pass@1, and vote and pass of all n samples."""
    table = Table(title="all benchmarks")
    table.add_column("benchmark")
    for column in ("problems", "pass@1", "95% interval", "maj@n", "pass@n", "n"):
        table.add_column(column, justify="right")
    for name, result in results.items():
        metrics = result.metrics
        [n] = [int(metric[4:]) for metric in metrics if metric.startswith("avg@")]
        single = metrics[f"avg@{n}"]
        cells = [metrics.get(f"maj@{n}"), metrics.get(f"pass@{n}")]
        table.add_row(
            name,
            str(single.n),
            f"{single.value:.3f}",
            f"{single.ci_low:.3f} to {single.ci_high:.3f}",
            *("" if cell is None else f"{cell.value:.3f}" for cell in cells),
            str(n),
        )
    return table


def benchmarks_table() -> Table:
    """List the named benchmarks."""
    table = Table(
        title="benchmarks",
        caption="--benchmark NAME, or NAME=FILE for a local copy",
    )
    for column in ("name", "size"):
        table.add_column(column, no_wrap=True)
    table.add_column("source", overflow="fold")
    for name, spec in BENCHMARKS.items():
        columns = ", ".join((spec.prompt_column, spec.label_column, *spec.options_columns))
        source = (
            " ".join(part for part in (spec.hub_id, spec.config_name, spec.split) if part),
            f"{columns}; {spec.kind}; {spec.template}",
            "; ".join(part for part in ("gated" if spec.is_gated else "", spec.note) if part),
        )
        table.add_row(name, str(spec.size), "\n".join(part for part in source if part))
    return table


def templates_table() -> Table:
    """List the prompt templates."""
    table = Table(title="templates", caption="--template NAME")
    for column in ("name", "makes", "whose wording"):
        table.add_column(column)
    for name, template in TEMPLATES.items():
        table.add_row(name, "a chat" if template.is_chat else "text", template.source)
    return table
