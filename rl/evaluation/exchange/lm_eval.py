"""The files of lm-evaluation-harness's `--log_samples`: samples_TASK_DATE.jsonl.

A line is a document and a filter: `doc_id`, `doc`, `target`, `arguments` (the prompt as
`gen_args_0.arg_0`), `resps` (a list of completions for each request), `filtered_resps`, `filter`,
`metrics` and their values.

Source: EleutherAI/lm-evaluation-harness at 4e7e0d4, lm_eval/evaluator.py and
lm_eval/loggers/evaluation_tracker.py. Written by us a document has one filter, `answer`, whose
`filtered_resps` are the answers we found, "[invalid]" where there is none, as its filters say.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rl.data.json_lines import JsonLine, write_json_lines
from rl.data.tables import short_repr
from rl.errors import InputError
from rl.evaluation.exchange.evaluation import ExportedEvaluation, ExportedProblem

_FILTER = "answer"
_NO_ANSWER = "[invalid]"


def write(evaluation: ExportedEvaluation, folder: Path) -> Path:
    """Write MODEL/samples_BENCHMARK_DATE.jsonl below a folder, as the harness names it."""
    model = re.sub(r'["<>:/|\\?*\[\]]+', "__", evaluation.model)
    path = folder / model / f"samples_{evaluation.benchmark}_{evaluation.date}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        _line(number, problem, evaluation.settings)
        for number, problem in enumerate(evaluation.problems)
    )
    write_json_lines(path, lines)
    return path


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
        "metrics": ["exact_match"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(problem.text),
        "target_hash": _hash(problem.label),
        "exact_match": sum(sample.correct for sample in samples) / len(samples),
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
