"""Labelled problems, read from a file or the hub: what an evaluation samples and grades."""

from collections.abc import Sequence
from dataclasses import dataclass

from rl.data import Prompt, labels_of, prompts_of
from rl.errors import InputError
from rl.tables import Table, load_table

PROMPT_COLUMNS = ("prompt", "problem", "question")
LABEL_COLUMNS = ("label", "answer", "final_answer")
ID_COLUMNS = ("id", "unique_id")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One prompt with its label.

    Attributes:
        id: Names the problem within its benchmark.
        prompt: Text, or chat messages.
        label: The right answer, plain or LaTeX.
    """

    id: str
    prompt: Prompt
    label: str


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The problems of one source and the columns they were read from."""

    problems: list[Problem]
    prompt_column: str
    label_column: str


def load_benchmark(
    name_or_path: str,
    *,
    split: str = "test",
    config_name: str | None = None,
    prompt_column: str | None = None,
    label_column: str | None = None,
    system_prompt: str | None = None,
    prompt_suffix: str | None = None,
) -> Benchmark:
    """Load labelled problems.

    A problem's id is its value in the column `id` or `unique_id` where those values are unique, and
    its row, from 0, otherwise.

    Args:
        name_or_path: A .jsonl, .json, .csv (also .gz) or .parquet file, a folder or a hub id.
        split: Split of a hub dataset; a file has none.
        config_name: Configuration of a hub dataset.
        prompt_column: Column with the prompt; None takes the first of `PROMPT_COLUMNS` there is,
            in any letter case.
        label_column: Column with the label; None takes the first of `LABEL_COLUMNS` there is.
        system_prompt: As for `rl.data.load_prompts`.
        prompt_suffix: As for `rl.data.load_prompts`.

    Raises:
        InputError: If the source cannot be read, a column is missing, or a row lacks a prompt or a
            label.
    """
    table = load_table(name_or_path, split=split, config_name=config_name)
    prompt_column = prompt_column or _detect(table, PROMPT_COLUMNS, "prompt_column")
    label_column = label_column or _detect(table, LABEL_COLUMNS, "label_column")
    prompts = prompts_of(
        table, prompt_column, system_prompt=system_prompt, prompt_suffix=prompt_suffix
    )
    labels = labels_of(table, label_column)
    problems = []
    for row, (problem_id, prompt, label) in enumerate(
        zip(_problem_ids(table), prompts, labels, strict=True)
    ):
        if label is None:
            raise InputError(
                f"label in row {row} (from 0), column {label_column!r}: got none, expected the "
                "right answer. Fill it in, remove the row or name another column."
            )
        problems.append(Problem(id=problem_id, prompt=prompt, label=label))
    return Benchmark(problems=problems, prompt_column=prompt_column, label_column=label_column)


def _detect(table: Table, candidates: Sequence[str], setting: str) -> str:
    by_lower_case = {name.lower(): name for name in table}
    for candidate in candidates:
        if candidate in by_lower_case:
            return by_lower_case[candidate]
    raise InputError(
        f"{setting}: got none of the columns {', '.join(candidates)}, expected one of the file's "
        f"own ({', '.join(sorted(table))}). Name it."
    )


def _problem_ids(table: Table) -> list[str]:
    num_problems = len(next(iter(table.values())))
    for column in ID_COLUMNS:
        ids = [str(value) for value in table.get(column, [])]
        if len(set(ids)) == num_problems:
            return ids
    return [str(row) for row in range(num_problems)]
