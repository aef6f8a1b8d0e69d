"""The details files of lighteval: details_TASK_DATE.parquet, a row per problem.

A row holds `doc` (`query`, `choices`, `gold_index`, ...), `model_response` (`input`, `text`: a list
of completions, ...) and `metric` (name -> value). A folder so written is what lighteval reads with
`--output-dir FOLDER --load-responses-from-details-date-id DATE`.

Source: huggingface/lighteval at 3fd1526, src/lighteval/logging/evaluation_tracker.py,
tasks/requests.py, models/model_output.py. Tokens are not written: an evaluation keeps texts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import ArrowInvalid, Table, parquet

from rl.data.tables import short_repr
from rl.errors import InputError
from rl.evaluation.exchange.evaluation import ExportedEvaluation, ExportedProblem
from rl.evaluation.metrics.estimators import pass_at_k
from rl.evaluation.metrics.summary import default_ks

_NUM_FEWSHOT = 0


def write(evaluation: ExportedEvaluation, folder: Path) -> Path:
    """Write details/MODEL/DATE/details_BENCHMARK|0_DATE.parquet below a folder."""
    task = f"{evaluation.benchmark}|{_NUM_FEWSHOT}"
    name = f"details_{task}_{evaluation.date}.parquet"
    path = folder / "details" / evaluation.model.strip("/") / evaluation.date / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_row(problem, task, evaluation.settings) for problem in evaluation.problems]
    parquet.write_table(Table.from_pylist(rows), path)
    return path


def _row(problem: ExportedProblem, task: str, settings: dict[str, Any]) -> dict[str, Any]:
    samples = problem.samples
    n, c = len(samples), sum(sample.correct for sample in samples)
    return {
        "doc": {
            "query": problem.text,
            "choices": [problem.label],
            "gold_index": 0,
            "id": problem.id,
            "task_name": task,
            "num_samples": n,
            "generation_size": settings.get("max_completion_length"),
            "stop_sequences": settings.get("stop_strings") or [],
            "specific": {"answers": [sample.answer for sample in samples]},
        },
        "metric": {f"pass@k:k={k}&n={n}": pass_at_k(n, c, k) for k in default_ks(n)},
        "model_response": {
            "input": problem.text,
            "text": [sample.completion for sample in samples],
        },
    }


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, our line with all completions) for each row.

    The label is the first of the right choices.

    Raises:
        InputError: If the file is no parquet, or a row not as said.
    """
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path}: got no parquet file ({error}), expected lighteval's details. Check the path."
        ) from error
    for number, row in enumerate(rows):
        where = f"{path} row {number} (from 0)"
        doc, reply = row.get("doc") or {}, row.get("model_response") or {}
        gold, choices = doc.get("gold_index"), doc.get("choices") or []
        gold = gold[0] if isinstance(gold, list) and gold else gold
        if not reply.get("text") or not isinstance(gold, int) or not 0 <= gold < len(choices):
            raise InputError(
                f"{where}: got {short_repr(row)}, expected doc with choices and gold_index, and "
                "model_response with text. Score details of a task that generates."
            )
        found = {
            "problem_id": str(doc.get("id") or number),
            "label": choices[gold],
            "completions": reply["text"],
        }
        yield where, found | ({"prompt": doc["query"]} if doc.get("query") else {})
