"""From a benchmark's columns to problems: which column means what; rows are read by their kind."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rl.data.prompts import labels_of
from rl.data.row_images import IMAGE_COLUMNS
from rl.data.tables import Table
from rl.errors import InputError, unknown_name
from rl.evaluation.problems.benchmark_spec import BenchmarkSpec
from rl.evaluation.problems.choices import LabelIs
from rl.evaluation.problems.kinds import CHOICE_KINDS, DOCUMENT_KINDS, KINDS, RawRow, Row
from rl.plugins import Contract, find
from rl.rollouts.engine import derive_seed

PROMPT_COLUMNS = ("prompt", "problem", "question")
LABEL_COLUMNS = ("label", "answer", "final_answer")
ID_COLUMNS = ("id", "unique_id", "_id")
DOCUMENT_COLUMNS = ("context", "documents", "paragraphs", "wiki_items")
_READER = Contract(takes=("row",))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of a table mean what; see `BenchmarkSpec` for the fields.

    `takes_first_label` is for benchmarks whose labels are lists of equal answers. Columns of
    documents, aliases, strata and images are those that the table has; where labels are not needed,
    `label_column` is empty if it has none. `numbered_images` has a column for each number.
    """

    prompt_column: str
    label_column: str
    id_column: str | None
    options_columns: tuple[str, ...]
    shuffles_options: bool
    kind: str
    takes_first_label: bool
    documents_column: str | None = None
    aliases_column: str | None = None
    strata_columns: tuple[str, ...] = ()
    strata_of_id: str | None = None
    image_column: str = ""
    needs_labels: bool = True
    label_is: LabelIs | None = None
    question_ends_at: str | None = None
    numbered_images: Mapping[int, str] = field(default_factory=dict)


def find_layout(
    table: Table,
    spec: BenchmarkSpec | None,
    *,
    prompt_column: str | None,
    label_column: str | None,
    options_column: str | None,
    kind: str | None,
    documents_column: str | None = None,
    image_column: str | None = None,
    needs_labels: bool = True,
) -> Layout:
    """Join what the user names, what a named benchmark has and what the column names tell.

    Raises:
        InputError: If a column is missing or the kind is unknown.
    """
    kind = kind or (spec.kind if spec else "choice" if options_column else "maths")
    find(kind, KINDS, "--answer_kind", contract=_READER)
    options_columns = (options_column,) if options_column else spec.options_columns if spec else ()
    if documents_column is not None and documents_column not in table:
        raise unknown_name("--documents_column", documents_column, list(table))
    if kind in (*CHOICE_KINDS, "choice_or_maths"):
        if not options_columns:
            raise InputError(
                "--options_column: got none for a multiple choice, expected the column with the "
                "list of options. Name it."
            )
        for column in options_columns:
            if column not in table:
                raise unknown_name("--options_column", column, list(table))
    prompt_column = (
        prompt_column
        or _named(table, spec and spec.prompt_column)
        or _detect(table, PROMPT_COLUMNS, "prompt_column")
    )
    return Layout(
        prompt_column=prompt_column,
        label_column=label_column
        or _named(table, spec and spec.label_column)
        or _detect(table, LABEL_COLUMNS, "label_column", needs_labels),
        id_column=_named(table, spec and spec.id_column),
        options_columns=options_columns,
        shuffles_options=spec is not None and spec.shuffles_options,
        kind=kind,
        takes_first_label=spec is not None or kind in DOCUMENT_KINDS,
        documents_column=documents_column
        or _named(table, spec and spec.documents_column)
        or next((name for name in DOCUMENT_COLUMNS if name in table), None),
        aliases_column=_named(table, spec.aliases_column if spec else "answer_aliases"),
        strata_columns=tuple(name for name in spec.strata_columns if name in table) if spec else (),
        strata_of_id=spec.strata_of_id if spec else None,
        image_column=_image_column(table, spec, image_column, prompt_column),
        needs_labels=needs_labels,
        # Of a copy with labels of its own nothing is known.
        label_is=spec.label_is if spec and label_column in (None, spec.label_column) else None,
        question_ends_at=spec.question_ends_at if spec else None,
        numbered_images=_numbered_images(table, spec) if image_column is None else {},
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
    if layout.prompt_column not in table:
        raise unknown_name("prompt_column", layout.prompt_column, list(table))
    if layout.label_column not in ("", *table):
        raise unknown_name("label_column", layout.label_column, list(table))
    ids = problem_ids(table, layout.id_column)
    cells = table[layout.label_column] if layout.label_column else [None] * len(ids)
    if layout.takes_first_label:
        cells = [cell[0] if isinstance(cell, list) and cell else cell for cell in cells]
    labels = labels_of({layout.label_column: cells}, layout.label_column)
    documents = table[layout.documents_column] if layout.documents_column else [None] * len(ids)
    read = find(layout.kind, KINDS, "--answer_kind", contract=_READER)
    rows = []
    for number, (name, question, label) in enumerate(
        zip(ids, table[layout.prompt_column], labels, strict=True)
    ):
        where = f"row {number} (from 0), column {layout.label_column!r}"
        if label is None and layout.needs_labels:
            raise InputError(
                f"label in {where}: got none, expected the right answer. Fill it in, remove the "
                "row or name another column."
            )
        seed = derive_seed(option_seed, "options", name) if layout.shuffles_options else None
        cells = RawRow(
            id=name,
            question=_without_options(question, layout.question_ends_at),
            label=label or "",
            label_is=layout.label_is,
            options=[table[column][number] for column in layout.options_columns],
            option_seed=seed,
            where=where,
            documents=documents[number],
            aliases=_aliases(table, layout, number),
            strata=_strata_of_id(name, layout.strata_of_id)
            | {name: str(table[name][number]) for name in layout.strata_columns},
        )
        rows.append(read(cells))
    return rows


def kept_rows(table: Table, spec: BenchmarkSpec | None) -> Table:
    """Return the rows that belong to a benchmark, of columns that the table has.

    Raises:
        InputError: If none does.
    """
    conditions = [pair for pair in (spec.kept_rows if spec else ()) if pair[0] in table]
    if not conditions:
        return table
    size = len(next(iter(table.values())))
    kept = [row for row in range(size) if all(table[name][row] == v for name, v in conditions)]
    if not kept:
        raise InputError(
            f"benchmark: got no row with {conditions[0][0]} {conditions[0][1]!r}, expected at "
            "least one. Check the file."
        )
    return {name: [column[row] for row in kept] for name, column in table.items()}


def with_lists(table: Table, spec: BenchmarkSpec | None) -> Table:
    """Read lists that a benchmark writes as text, `"['3', '4']"`; what is none stays text.

    Several right answers are texts: the label `[3, 4]` is an interval.
    """
    if spec is None or not spec.lists_are_text:
        return table
    names = {*spec.options_columns, spec.label_column} & table.keys()
    read = {name: [_as_list(cell) for cell in table[name]] for name in names}
    if spec.label_column in names:
        pairs = zip(table[spec.label_column], read[spec.label_column], strict=True)
        read[spec.label_column] = [found if _is_texts(found) else cell for cell, found in pairs]
    return {**table, **read}


def _is_texts(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(part, str) for part in cell)


def _as_list(cell: Any) -> Any:
    if not (isinstance(cell, str) and cell.lstrip().startswith("[")):
        return cell
    try:
        found = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell
    return found if isinstance(found, list) else cell


def problem_ids(table: Table, column: str | None = None) -> list[str]:
    """Return the values of the first id column whose values are unique, or else row numbers."""
    num_problems = len(next(iter(table.values())))
    for name in (column, *ID_COLUMNS):
        ids = [str(value) for value in table.get(name, [])] if name else []
        if len(set(ids)) == num_problems:
            return ids
    return [str(row) for row in range(num_problems)]


def _without_options(question: Any, ends_at: str | None) -> Any:
    """Leave out the options that a question repeats."""
    if ends_at is None or not isinstance(question, str) or ends_at not in question:
        return question
    return question.rpartition(ends_at)[0].rstrip()


def _strata_of_id(name: str, pattern: str | None) -> dict[str, str]:
    found = None if pattern is None else re.fullmatch(pattern, name)
    return {} if found is None else found.groupdict()


def _aliases(table: Table, layout: Layout, number: int) -> list[str]:
    """What else is right: the rest of a list of labels, and the column of aliases."""
    label = table[layout.label_column][number] if layout.label_column else None
    more = table[layout.aliases_column][number] if layout.aliases_column else None
    more = [more] if isinstance(more, str) else more
    if not (more is None or isinstance(more, list | tuple)):
        raise InputError(
            f"{layout.aliases_column} of row {number}: got {more!r}, expected a text or a list of "
            "texts. Correct it."
        )
    cells = [*(label[1:] if isinstance(label, list) else ()), *(more or ())]
    return [str(cell) for cell in cells if cell is not None]


def _image_column(
    table: Table, spec: BenchmarkSpec | None, image_column: str | None, prompt_column: str
) -> str:
    """The column the user names, a named benchmark's, or one called as TRL's are; '' is none."""
    if image_column:
        if image_column not in table:
            raise unknown_name("--image_column", image_column, list(table))
        return image_column
    if image_column == "":
        return ""
    names = (*(spec.image_columns if spec else ()), *IMAGE_COLUMNS)
    return next((name for name in names if name in table and name != prompt_column), "")


def _numbered_images(table: Table, spec: BenchmarkSpec | None) -> dict[int, str]:
    form = spec.numbered_images if spec else None
    names = {number: form.format(number) for number in range(1, 100)} if form else {}
    return {number: name for number, name in names.items() if name in table}


def image_column_if_there(table: Table, column: str | None) -> str | None:
    """Return a setting's column of images for one of several sources: None where it has none such.

    An empty text, no images, holds for every source.
    """
    return column if column in ("", *table) else None


def _named(table: Table, column: str | None) -> str | None:
    """A named benchmark's column, if the table has it; local copies often rename theirs."""
    return column if column in table else None


def _detect(table: Table, candidates: Sequence[str], setting: str, is_needed: bool = True) -> str:
    by_lower_case = {name.lower(): name for name in table}
    for candidate in candidates:
        if candidate in by_lower_case:
            return by_lower_case[candidate]
    if not is_needed:
        return ""
    raise InputError(
        f"{setting}: got none of the columns {', '.join(candidates)}, expected one of the file's "
        f"own ({', '.join(sorted(table))}). Name it."
    )
