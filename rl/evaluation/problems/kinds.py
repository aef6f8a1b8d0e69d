"""Kinds of benchmark: how a row's question and label are read.

To add one, write a function `RawRow -> Row` and a line in `KINDS`; one of your own goes by
`path/to/file.py:function`. A row with letters is graded by the letter, any other by its answer,
which the answer methods and the comparer of an evaluation find and compare (`rl.answers.options`),
unless it names a rule of its own (`rl.evaluation.rules`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from string import ascii_uppercase
from typing import Any

from rl.data.tables import short_repr
from rl.errors import InputError
from rl.evaluation.metrics.docmath import read_docmath_number
from rl.evaluation.problems.documents import document_text


@dataclass(frozen=True, kw_only=True)
class RawRow:
    """A row as its source has it.

    Attributes:
        id: Names the problem within the benchmark.
        question: Text or chat messages.
        label: Text of the label's column.
        options: Cells of the options' columns.
        option_seed: Seed that shuffles options; None leaves them in order.
        where: Row and column, for messages.
        documents: Cell with what the question is about; None where there is none.
        aliases: Further accepted answers.
        strata: Cells of the columns by which results are reported, by column.
    """

    id: str
    question: Any
    label: str
    options: Sequence[Any]
    option_seed: int | None
    where: str
    documents: Any = None
    aliases: Sequence[str] = ()
    strata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One problem as its source has it.

    Attributes:
        id: Names it within the benchmark.
        question: Text with the options of a multiple choice below it, or chat messages.
        label: The right answer; the letter of a multiple choice.
        letters: Letters of a multiple choice, None for any other problem.
        documents: What the question is about; a template puts it in its place. None for nothing.
        aliases: Further accepted answers, the label not among them.
        rule: Key of `rl.evaluation.rules.RULES`, None for maths and letters.
        strata: Groups of problems it is reported with, such as {"length": "short"}.
    """

    id: str
    question: Any
    label: str
    letters: str | None
    documents: str | None = None
    aliases: tuple[str, ...] = ()
    rule: str | None = None
    strata: Mapping[str, str] = field(default_factory=dict)


def read_maths(row: RawRow) -> Row:
    """Read an answer, plain or LaTeX."""
    return Row(id=row.id, question=row.question, label=row.label, letters=None)


def read_hashes(row: RawRow) -> Row:
    """Read a solution whose answer follows the last `####`.

    Raises:
        InputError: If there are no `####`, or nothing follows.
    """
    label = after_hashes(row.label, row.where)
    return Row(id=row.id, question=row.question, label=label, letters=None)


def read_choice(row: RawRow) -> Row:
    """Read a multiple choice: its options go below the question, its label becomes a letter.

    Raises:
        InputError: If there are not between 2 and 26 options, or the label names none of them.
    """
    options = choice_options([row.label, *row.options], row.where)
    if row.option_seed is not None:
        Random(row.option_seed).shuffle(options)
    letters = ascii_uppercase[: len(options)]
    lines = "\n".join(f"{letter}) {text}" for letter, text in zip(letters, options, strict=True))
    return Row(
        id=row.id,
        question=f"{row.question}\n\n{lines}" if isinstance(row.question, str) else row.question,
        label=choice_letter(row.label, options, row.where),
        letters=letters,
    )


def read_document_exact(row: RawRow) -> Row:
    """Read a question over documents, answered in some words that equal an accepted answer."""
    return _over_documents(row, "exact")


def read_document_cover(row: RawRow) -> Row:
    """Read a question over documents, answered in some words that contain an accepted answer."""
    return _over_documents(row, "cover")


def read_document_number(row: RawRow) -> Row:
    """Read a question over documents whose answer is a number (DocMath-Eval).

    Its subset is what its id says before `-testmini`.

    Raises:
        InputError: If the label is no number.
    """
    if read_docmath_number(row.label) is None:
        raise InputError(
            f"label in {row.where}: got {short_repr(row.label)}, expected a number. Correct the "
            "row or name another column."
        )
    subset, testmini, _ = row.id.partition("-testmini")
    strata = {"subset": subset, **row.strata} if testmini else row.strata
    return replace(_over_documents(row, "docmath"), strata=strata)


def read_document_choice(row: RawRow) -> Row:
    """Read a multiple choice over a document: its options keep their order (LongBench v2).

    Raises:
        InputError: If there are not between 2 and 26 options, or the label names none of them.
    """
    options = choice_options(row.options, row.where)
    letters = ascii_uppercase[: len(options)]
    lines = "\n".join(f"({letter}) {text}" for letter, text in zip(letters, options, strict=True))
    asked = _over_documents(row, None)
    return replace(
        asked,
        question=f"{asked.question}\nChoices:\n{lines}",
        label=choice_letter(row.label, options, row.where),
        letters=letters,
        aliases=(),
    )


def _over_documents(row: RawRow, rule: str | None) -> Row:
    if not isinstance(row.question, str):
        raise InputError(
            f"prompt in {row.where}: got {short_repr(row.question)}, expected a question as text, "
            "because documents go with it. Put the documents into messages yourself."
        )
    aliases = dict.fromkeys(alias.strip() for alias in row.aliases if alias.strip())
    return Row(
        id=row.id,
        question=row.question.strip(),
        label=row.label,
        letters=None,
        documents=document_text(row.documents, row.where),
        aliases=tuple(alias for alias in aliases if alias != row.label),
        rule=rule,
        strata=row.strata,
    )


KINDS: Mapping[str, Callable[[RawRow], Row]] = {
    "maths": read_maths,
    "hashes": read_hashes,
    "choice": read_choice,
    "document_exact": read_document_exact,
    "document_cover": read_document_cover,
    "document_number": read_document_number,
    "document_choice": read_document_choice,
}
CHOICE_KINDS = ("choice", "document_choice")
DOCUMENT_KINDS = ("document_exact", "document_cover", "document_number", "document_choice")


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


def choice_options(cells: Sequence[Any], where: str) -> list[str]:
    """Return the options of a row: those of a cell with a list, or else one of each cell.

    Raises:
        InputError: If they are not between 2 and 26 texts.
    """
    options = next((list(cell) for cell in cells if isinstance(cell, list)), list(cells))
    texts = [str(option).strip() for option in options]
    if not 2 <= len(texts) <= len(ascii_uppercase) or not all(texts):
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
