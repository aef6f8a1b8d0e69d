"""From a benchmark's columns to ids, questions, labels and the letters of a multiple choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import Any

from rl.data.prompts import labels_of
from rl.data.tables import Table, short_repr
from rl.errors import InputError, unknown_name
from rl.evaluation.problems.registry import KINDS, BenchmarkSpec
from rl.rollouts.engine import derive_seed

PROMPT_COLUMNS = ("prompt", "problem", "question")
LABEL_COLUMNS = ("label", "answer", "final_answer")
ID_COLUMNS = ("id", "unique_id")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of a table mean what; see `BenchmarkSpec` for the fields.

    `takes_first_label` is for benchmarks whose labels are lists of equal answers.
    """

    prompt_column: str
    label_column: str
    id_column: str | None
    options_columns: tuple[str, ...]
    shuffles_options: bool
    kind: str
    takes_first_label: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One problem as its source has it.

    Attributes:
        id: Names it within the benchmark.
        question: Text with the options of a multiple choice below it, or chat messages.
        label: The right answer; the letter of a multiple choice.
        letters: Letters of a multiple choice, None for any other problem.
    """

    id: str
    question: Any
    label: str
    letters: str | None


def find_layout(
    table: Table,
    spec: BenchmarkSpec | None,
    *,
    prompt_column: str | None,
    label_column: str | None,
    options_column: str | None,
    kind: str | None,
) -> Layout:
    """Join what the user names, what a named benchmark has and what the column names tell.

    Raises:
        InputError: If a column is missing or the kind is unknown.
    """
    kind = kind or (spec.kind if spec else "choice" if options_column else "maths")
    if kind not in KINDS:
        raise unknown_name("--answer_kind", kind, list(KINDS))
    options_columns = (options_column,) if options_column else spec.options_columns if spec else ()
    if kind == "choice":
        if not options_columns:
            raise InputError(
                "--options_column: got none for a multiple choice, expected the column with the "
                "list of options. Name it."
            )
        for column in options_columns:
            if column not in table:
                raise unknown_name("--options_column", column, list(table))
    return Layout(
        prompt_column=prompt_column
        or _named(table, spec and spec.prompt_column)
        or _detect(table, PROMPT_COLUMNS, "prompt_column"),
        label_column=label_column
        or _named(table, spec and spec.label_column)
        or _detect(table, LABEL_COLUMNS, "label_column"),
        id_column=_named(table, spec and spec.id_column),
        options_columns=options_columns if kind == "choice" else (),
        shuffles_options=spec is not None and spec.shuffles_options,
        kind=kind,
        takes_first_label=spec is not None,
    )


def read_rows(table: Table, layout: Layout, option_seed: int = 0) -> list[Row]:
    """Read every problem of a table.

    Args:
        table: Columns of a source.
        layout: What they mean.
        option_seed: Each problem's options are shuffled, where they are, by a seed made of this and
            the problem's id.

    Raises:
        InputError: If a column is missing or a row lacks what its kind needs.
    """
    for column, setting in (
        (layout.prompt_column, "prompt_column"),
        (layout.label_column, "label_column"),
    ):
        if column not in table:
            raise unknown_name(setting, column, list(table))
    ids = problem_ids(table, layout.id_column)
    cells = table[layout.label_column]
    if layout.takes_first_label:
        cells = [cell[0] if isinstance(cell, list) and cell else cell for cell in cells]
    labels = labels_of({layout.label_column: cells}, layout.label_column)
    rows = []
    for number, (name, question, label) in enumerate(
        zip(ids, table[layout.prompt_column], labels, strict=True)
    ):
        where = f"row {number} (from 0), column {layout.label_column!r}"
        if label is None:
            raise InputError(
                f"label in {where}: got none, expected the right answer. Fill it in, remove the "
                "row or name another column."
            )
        letters = None
        if layout.kind == "hashes":
            label = after_hashes(label, where)
        elif layout.kind == "choice":
            given = [table[column][number] for column in layout.options_columns]
            options = choice_options(given, label, where)
            if layout.shuffles_options:
                Random(derive_seed(option_seed, "options", name)).shuffle(options)
            letters = ascii_uppercase[: len(options)]
            label = choice_letter(label, options, where)
            lines = "\n".join(
                f"{letter}) {option}" for letter, option in zip(letters, options, strict=True)
            )
            question = f"{question}\n\n{lines}" if isinstance(question, str) else question
        rows.append(Row(id=name, question=question, label=label, letters=letters))
    return rows


def after_hashes(solution: str, where: str) -> str:
    """Return what follows the last `####` of a solution, without thousands separators.

    Raises:
        InputError: If there are no `####`, or nothing follows.

    Example:
        >>> after_hashes("2 * 600 = 1200 #### 1,200", "row 0")
        '1200'
    """
    _, hashes, answer = solution.rpartition("####")
    answer = answer.strip().replace(",", "")
    if not hashes or not answer:
        raise InputError(
            f"label in {where}: got {short_repr(solution)}, expected an answer after ####. Correct "
            "the row or name another column or kind."
        )
    return answer


def choice_options(cells: Sequence[Any], label: str, where: str) -> list[str]:
    """Return the options of a row: one cell with all of them, or the wrong ones and the label.

    Raises:
        InputError: If they are not between 2 and 26 texts.
    """
    options = list(cells[0]) if len(cells) == 1 and isinstance(cells[0], list) else [label, *cells]
    texts = [str(option).strip() for option in options]
    if not 2 <= len(texts) <= len(ascii_uppercase) or not all(texts) or len(cells) == 0:
        raise InputError(
            f"options in {where}: got {short_repr(options)}, expected a list of 2 to 26 texts. "
            "Correct the row or name another --options_column."
        )
    return texts


def choice_letter(label: str, options: Sequence[str], where: str) -> str:
    """Return the letter of the right option, which a label names by letter or by text.

    Raises:
        InputError: If it names none.

    Example:
        >>> choice_letter("B", ["4", "5"], "row 0"), choice_letter("4", ["4", "5"], "row 0")
        ('B', 'A')
    """
    letters = ascii_uppercase[: len(options)]
    label = label.strip()
    if label in options:
        return letters[options.index(label)]
    if len(label) == 1 and label in letters:
        return label
    raise InputError(
        f"label in {where}: got {short_repr(label)}, expected a letter up to {letters[-1]} or one "
        "of the options. Correct the row or name another column."
    )


def problem_ids(table: Table, column: str | None = None) -> list[str]:
    """Return the values of the first id column whose values are unique, or else row numbers."""
    num_problems = len(next(iter(table.values())))
    for name in (column, *ID_COLUMNS):
        ids = [str(value) for value in table.get(name, [])] if name else []
        if len(set(ids)) == num_problems:
            return ids
    return [str(row) for row in range(num_problems)]


def _named(table: Table, column: str | None) -> str | None:
    """A named benchmark's column, if the table has it; local copies often rename theirs."""
    return column if column in table else None


def _detect(table: Table, candidates: Sequence[str], setting: str) -> str:
    by_lower_case = {name.lower(): name for name in table}
    for candidate in candidates:
        if candidate in by_lower_case:
            return by_lower_case[candidate]
    raise InputError(
        f"{setting}: got none of the columns {', '.join(candidates)}, expected one of the file's "
        f"own ({', '.join(sorted(table))}). Name it."
    )
