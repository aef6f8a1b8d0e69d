"""The outputs of MathArena: BENCHMARK/MODEL/INDEX.json.zst, a file per problem.

A file holds `idx`, `problem`, `gold_answer`, and lists with a member for each run: `answers`,
`correct`, `messages` (the conversation), `detailed_costs` and others. Older ones are plain JSON.

Source: eth-sri/matharena at e927660, src/matharena/runs.py, utils.py and json_zst.py. Money is not
known to an evaluation and is written as 0, tokens of a prompt as null. Problems whose ids are no
numbers are counted from 1, and `source` holds the id.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow

from rl.data.chat_parts import text_of
from rl.data.tables import short_repr
from rl.errors import InputError
from rl.evaluation.exchange.evaluation import ExportedEvaluation, ExportedProblem
from rl.evaluation.records import SampleRecord

SUFFIXES = (".json", ".json.zst")
_HEAD_BYTES = 1 << 20
_THOUGHT_ENDS = "</think>"


def write(evaluation: ExportedEvaluation, folder: Path) -> list[Path]:
    """Write outputs/BENCHMARK/MODEL/INDEX.json.zst below a folder; return the files' folder."""
    path = folder / "outputs" / evaluation.benchmark / evaluation.model.strip("/")
    path.mkdir(parents=True, exist_ok=True)
    numbered = all(problem.id.isdecimal() for problem in evaluation.problems)
    for position, problem in enumerate(evaluation.problems, start=1):
        index = int(problem.id) if numbered else position
        text = json.dumps(_runs(problem, index, numbered), indent=4, ensure_ascii=False)
        # In one piece, so that the file tells its size, which MathArena's reader asks for.
        packed = pyarrow.compress(text.encode(), codec="zstd", asbytes=True)
        (path / f"{index}.json.zst").write_bytes(packed)
    return [path]


def _runs(problem: ExportedProblem, index: int, is_numbered: bool) -> dict[str, Any]:
    samples = problem.samples
    n = len(samples)
    costs = [
        {
            "cost": 0.0,
            "input_tokens": None,
            "output_tokens": sample.num_tokens,
            "time": sample.latency_seconds,
        }
        for sample in samples
    ]
    return {
        "idx": index,
        "problem": problem.text,
        "gold_answer": problem.label,
        "source": "None" if is_numbered else problem.id,
        "types": [],
        "N": n,
        "cost": {name: _total([cost[name] for cost in costs]) for name in costs[0]},
        "pass_at_1": sum(sample.correct for sample in samples) / n,
        "answers": [sample.answer or "None" for sample in samples],
        "correct": [sample.correct for sample in samples],
        "warnings": [0] * n,
        "manual_overwrite": [False] * n,
        "llm_annotation": [None] * n,
        "messages": [_messages(problem, sample) for sample in samples],
        "judgment": [None] * n,
        "history": [None] * n,
        "detailed_costs": costs,
    }


def _total(values: list[float | None]) -> float | None:
    return None if None in values else sum(value or 0 for value in values)


def _messages(problem: ExportedProblem, sample: SampleRecord) -> list[dict[str, str]]:
    """Write the conversation: MathArena calls a system prompt the developer's."""
    asked = problem.prompt if isinstance(problem.prompt, list) else None
    asked = asked or [{"role": "user", "content": problem.text}]
    roles = {"system": "developer"}
    messages = [
        {**m, "role": roles.get(m["role"], m["role"]), "content": text_of(m["content"])}
        for m in asked
    ]
    thought, ends, answer = sample.completion.rpartition(_THOUGHT_ENDS)
    if ends:
        messages.append({"role": "assistant", "type": "cot", "content": (thought + ends).strip()})
    return [*messages, {"role": "assistant", "type": "response", "content": answer.strip()}]


def is_output(path: Path) -> bool:
    """Tell a file, or a folder of files, of MathArena from JSON lines."""
    if path.is_dir() or path.name.endswith(".json.zst"):
        return True
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        return b'"gold_answer"' in file.read(_HEAD_BYTES)


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, our line with all completions) for a file, or each of a folder.

    Raises:
        InputError: If a file is not as said.
    """
    files = [path]
    if path.is_dir():
        files = [one for one in path.iterdir() if one.name.endswith(SUFFIXES)]
        files.sort(key=lambda one: (len(one.name), one.name))
    if not files:
        raise InputError(
            f"--score: got the folder {path} without {' or '.join(SUFFIXES)} files, expected "
            "MathArena's. Name the folder of one model."
        )
    for file in files:
        runs = _load(file)
        try:
            found = {
                "problem_id": str(runs["idx"]),
                "label": runs["gold_answer"],
                "completions": [_completion(messages) for messages in runs["messages"]],
            }
            prompt = "\n\n".join(m["content"] for m in runs["messages"][0] if m["role"] == "user")
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"{file}: got {short_repr(runs)}, expected idx, gold_answer and messages of "
                f"MathArena ({error!r}). Remove the file."
            ) from error
        yield str(file), {**found, "prompt": prompt}


def _load(file: Path) -> Any:
    try:
        if file.suffix == ".zst":
            with pyarrow.input_stream(str(file), compression="zstd") as stream:
                return json.loads(stream.read())
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: got {error}, expected JSON of MathArena, plain or as .zst. Check the file."
        ) from error


def _completion(messages: list[dict[str, Any]]) -> str:
    """Join what the model said last: its thought, closed, and its response."""
    said: list[str] = []
    for message in reversed(messages):
        if message["role"] != "assistant":
            break
        if message.get("type", "response") in ("cot", "response"):
            text = message["content"]
            is_open = message.get("type") == "cot" and _THOUGHT_ENDS not in text
            said.append(f"<think>{text}{_THOUGHT_ENDS}" if is_open else text)
    return "\n".join(reversed(said))
