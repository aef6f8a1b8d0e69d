"""The files of lm-evaluation-harness: samples_TASK_DATE.jsonl and results_DATE.json.

A line is a document and a filter: `doc_id`, `doc`, `target`, `arguments` (the prompt as
`gen_args_0.arg_0`), `resps` (a list of completions for each request), `filtered_resps`, `filter`,
`metrics` and their values. The results hold each task's `METRIC,FILTER` and its `_stderr`.

Source: EleutherAI/lm-evaluation-harness at 4e7e0d4, lm_eval/evaluator.py and
lm_eval/loggers/evaluation_tracker.py; version 0.4.13, lm_eval/result_schema.py for the results.
Written by us a document has one filter, `answer`, whose `filtered_resps` are the answers we found,
"[invalid]" where there is none, as its filters say.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rl.data.json_lines import JsonLine, write_json_lines
from rl.data.tables import short_repr
from rl.data.whole_files import write_whole
from rl.errors import InputError
from rl.evaluation.exchange.evaluation import ExportedEvaluation, ExportedProblem
from rl.evaluation.metrics.summary import standard_error

_FILTER = "answer"
_METRIC = "exact_match"
_NO_ANSWER = "[invalid]"


def write(evaluation: ExportedEvaluation, folder: Path) -> list[Path]:
    """Write MODEL/samples_BENCHMARK_DATE.jsonl and MODEL/results_DATE.json below a folder."""
    model = re.sub(r'["<>:/|\\?*\[\]]+', "__", evaluation.model)
    path = folder / model / f"samples_{evaluation.benchmark}_{evaluation.date}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        _line(number, problem, evaluation.settings)
        for number, problem in enumerate(evaluation.problems)
    ]
    write_json_lines(path, lines)
    results = path.with_name(f"results_{evaluation.date}.json")
    found = _results(evaluation, model, lines)
    write_whole(results, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return [path, results]


def _results(
    evaluation: ExportedEvaluation, model: str, lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    task, settings = evaluation.benchmark, evaluation.settings
    values = [line[_METRIC] for line in lines]
    error = standard_error(values)
    asked = lines[0]["arguments"]["gen_args_0"]["arg_1"]
    hashes = (line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
    return {
        "results": {
            task: {
                "alias": task,
                "sample_len": len(lines),
                f"{_METRIC},{_FILTER}": fmean(values),
                f"{_METRIC}_stderr,{_FILTER}": "N/A" if error is None else error,
            }
        },
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "num_fewshot": 0, "generation_kwargs": asked}},
        "versions": {task: 0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {_METRIC: True}},
        "n-samples": {task: {"original": len(lines), "effective": len(lines)}},
        "config": {
            "model": settings.get("engine"),
            "model_args": {"pretrained": evaluation.model},
            "gen_kwargs": asked,
            "random_seed": settings.get("seed"),
        },
        "task_hashes": {task: _hash("".join(hashes))},
        "model_source": settings.get("engine"),
        "model_name": evaluation.model,
        "model_name_sanitized": model,
        "system_instruction": settings.get("system_prompt"),
    }


def _line(number: int, problem: ExportedProblem, settings: Mapping[str, Any]) -> dict[str, Any]:
    doc = {"id": problem.id, "problem": problem.text, "answer": problem.label}
    asked = {
        "until": settings.get("stop_strings") or [],
        "temperature": settings.get("temperature"),
        "top_p": settings.get("top_p"),
        "max_gen_toks": settings.get("max_completion_length"),
    }
    samples = problem.samples
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.label,
        "arguments": {"gen_args_0": {"arg_0": problem.text, "arg_1": asked}},
        "resps": [[sample.completion for sample in samples]],
        "filtered_resps": [[sample.answer or _NO_ANSWER for sample in samples]],
        "filter": _FILTER,
        "metrics": [_METRIC],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(problem.text),
        "target_hash": _hash(problem.label),
        _METRIC: sum(sample.correct for sample in samples) / len(samples),
    }


def is_line(value: Any) -> bool:
    """Tell a line of the harness from one of ours."""
    return isinstance(value, dict) and "doc_id" in value and "resps" in value


def read(lines: Iterator[JsonLine], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, our line with all completions) for each document.

    A document comes once for each filter; the lines of the first filter are read.

    Raises:
        InputError: If a line is none of the harness, or of a task that generates nothing.
    """
    first_filter = None
    for line in lines:
        where, value = f"{path} line {line.number}", line.value
        if not is_line(value):
            raise InputError(
                f"{where}: got {short_repr(value)}, expected a line with doc_id and resps as the "
                "others. Remove it."
            )
        first_filter = value.get("filter") if first_filter is None else first_filter
        if value.get("filter") != first_filter:
            continue
        requests = value["resps"]
        if (
            not isinstance(requests, list)
            or len(requests) != 1
            or not isinstance(requests[0], list)
            or not all(isinstance(text, str) for text in requests[0])
        ):
            raise InputError(
                f"{where}: got resps {short_repr(requests)}, expected one list of texts, as tasks "
                "that generate leave it. Score a task of that kind."
            )
        found: dict[str, Any] = {
            "problem_id": str(value["doc_id"]),
            "label": value.get("target"),
            "completions": requests[0],
        }
        prompt = _prompt(value.get("arguments"))
        yield where, found | ({"prompt": prompt} if prompt else {})


def _prompt(arguments: Any) -> str | None:
    """Find the prompt in `arguments`: by names, or as older versions wrote it, in lists."""
    if isinstance(arguments, dict):
        arguments = arguments.get("gen_args_0", {}).get("arg_0")
    elif isinstance(arguments, list) and arguments and isinstance(arguments[0], list):
        arguments = arguments[0][0] if arguments[0] else None
    return arguments if isinstance(arguments, str) else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
