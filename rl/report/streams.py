"""What a run over a stream of data sets kept of each of them, as a sentence and as values."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rl.evaluation.metrics.continual import forward_transfer
from rl.evaluation.problems.distinct_names import distinct_names

MEASURES = ("average_accuracy", "forgetting", "backward_transfer", "forward_transfer")


def benchmark_names(benchmarks: Iterable[str]) -> dict[str, str]:
    """Name a file by itself, or by its folder if it is called heldout; no two alike.

    Example:
        >>> benchmark_names(["runs/testbed/easy/heldout.jsonl", "heldout/dips.jsonl"])
        {'runs/testbed/easy/heldout.jsonl': 'easy', 'heldout/dips.jsonl': 'dips'}
    """
    return distinct_names(benchmarks, _short_name)


def _short_name(benchmark: str) -> str:
    path = Path(benchmark)
    return path.parent.name if path.stem == "heldout" else path.stem


def stream_sentence(told: Mapping[str, Any]) -> str | None:
    """Say in a sentence what is kept of a stream.

    Args:
        told: What the summary's `continual` holds.

    Returns:
        None where there is no measure, or a single data set was visited.

    Example:
        >>> told = {"steps": [4, 8], "average_accuracy": 0.5, "forgetting": 0.25}
        >>> stream_sentence({**told, "backward_transfer": -0.25})
        'Over 2 data sets: mean pass@1 0.500, forgotten +0.250, backward transfer -0.250.'
    """
    if told.get("forgetting") is None:
        return None
    forward = told.get("forward_transfer")
    return (
        f"Over {len(told['steps'])} data sets: mean pass@1 {told['average_accuracy']:.3f}, "
        f"forgotten {told['forgetting']:+.3f}, "
        f"backward transfer {told['backward_transfer']:+.3f}"
        f"{'' if forward is None else f', forward transfer {forward:+.3f}'}."
    )


def stream_values(
    summary: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Return the measures of a stream and its matrix of accuracies.

    Args:
        summary: Of a finished run.
        before: Metrics of the base model, by benchmark, where another run evaluated it.

    Returns:
        "average_accuracy", "forgetting", "backward_transfer", "forward_transfer" (what there is of
        them; `rl.evaluation.metrics.continual`), and for each data set k, from 1, and benchmark its
        pass@1, "after k: <benchmark>". Empty for a run without a stream.
    """
    told = summary.get("continual")
    if told is None:
        return {}
    called = benchmark_names(told["benchmarks"])
    values = {
        f"after {k}: {called[benchmark]}": accuracy
        for k, row in enumerate(told["accuracies"], start=1)
        for benchmark, accuracy in zip(told["benchmarks"], row, strict=True)
    }
    values |= {name: told[name] for name in MEASURES if told.get(name) is not None}
    names = told["benchmarks"]
    if "backward_transfer" in values and before is not None and all(n in before for n in names):
        base = [before[name]["pass@1"] for name in names]
        transfer = forward_transfer(told["accuracies"], base)
        values |= {} if transfer is None else {"forward_transfer": transfer}
    return values
