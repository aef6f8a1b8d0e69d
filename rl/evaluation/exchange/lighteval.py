"""The files of lighteval: details_TASK_DATE.parquet, a row per problem, and results_DATE.json.

A row holds `doc` (`query`, `choices`, `gold_index`, ...), `model_response` (`input`, `text`: a list
of completions, ...) and `metric` (name -> value). A folder so written is what lighteval reads with
`--output-dir FOLDER --load-responses-from-details-date-id DATE`. The results hold, under the names
of tasks with `:` for `|`, each metric's mean and `_stderr`, and how the model was asked.

Source: huggingface/lighteval at 3fd1526, src/lighteval/logging/evaluation_tracker.py,
logging/info_loggers.py, tasks/requests.py, models/model_output.py; version 0.13.0 for the results.
Tokens and hashes of them are not written: an evaluation keeps texts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pyarrow import ArrowInvalid, Table, parquet

from rl.data.tables import short_repr
from rl.data.whole_files import write_whole
from rl.errors import InputError
from rl.evaluation.exchange.evaluation import ExportedEvaluation, ExportedProblem
from rl.evaluation.metrics.estimators import pass_at_k
from rl.evaluation.metrics.summary import default_ks, standard_error

_NUM_FEWSHOT = 0


def write(evaluation: ExportedEvaluation, folder: Path) -> list[Path]:
    """Write files below a folder, and return them.

    details/MODEL/DATE/details_BENCHMARK|0_DATE.parquet and results/MODEL/results_DATE.json.
    """
    task = f"{evaluation.benchmark}|{_NUM_FEWSHOT}"
    model, date = evaluation.model.strip("/"), evaluation.date
    details = folder / "details" / model / date / f"details_{task}_{date}.parquet"
    results = folder / "results" / model / f"results_{date}.json"
    rows = [_row(problem, task, evaluation.settings) for problem in evaluation.problems]
    for path in (details, results):
        path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(Table.from_pylist(rows), details)
    found = _results(evaluation, task.replace("|", ":"), [row["metric"] for row in rows])
    write_whole(results, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return [details, results]


def _results(
    evaluation: ExportedEvaluation, task: str, metrics: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    settings = evaluation.settings
    values: dict[str, float] = {}
    # Problems may differ in their number of samples: a metric is the mean over those that have it.
    for name in dict.fromkeys(name for of in metrics for name in of):
        of_problems = [of[name] for of in metrics if name in of]
        values[name] = fmean(of_problems)
        if (error := standard_error(of_problems)) is not None:
            values[f"{name}_stderr"] = error
    generation = {
        "temperature": settings.get("temperature"),
        "top_p": settings.get("top_p"),
        "top_k": settings.get("top_k"),
        "min_p": settings.get("min_p"),
        "max_new_tokens": settings.get("max_completion_length"),
        "stop_tokens": settings.get("stop_strings") or None,
        "seed": settings.get("seed"),
    }
    num_samples = max(len(problem.samples) for problem in evaluation.problems)
    counts = {"hashes": {}, "truncated": 0, "non_truncated": 0, "padded": 0, "non_padded": 0}
    about = {
        "name": evaluation.benchmark,
        "generation_size": settings.get("max_completion_length"),
        "stop_sequence": settings.get("stop_strings") or [],
        "num_samples": [num_samples],
        "num_fewshots": _NUM_FEWSHOT,
        "original_num_docs": len(evaluation.problems),
        "effective_num_docs": len(evaluation.problems),
    }
    return {
        "config_general": {
            "lighteval_sha": "?",
            "num_fewshot_seeds": 1,
            "max_samples": None,
            "model_config": {
                "model_name": evaluation.model,
                "generation_parameters": generation,
                "system_prompt": settings.get("system_prompt"),
            },
            "model_name": evaluation.model,
        },
        "results": {task: values, "all": values},
        "versions": {task: 0},
        "config_tasks": {task: about},
        "summary_tasks": {task: counts},
        "summary_general": counts,
    }


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
