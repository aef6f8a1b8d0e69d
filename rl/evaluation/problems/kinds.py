"""Kinds of benchmark: how a row's question and label are read.

To add one, write a function `RawRow -> Row` and a line in `KINDS`; one of your own goes by
`path/to/file.py:function`. A row with letters is graded by the letter, any other by its answer,
which the answer methods and the comparer of an evaluation find and compare (`rl.answers.options`),
unless it names a rule of its own (`rl.evaluation.rules`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rl.data.chat_parts import asked_text, with_asked_text
from rl.data.option_order import listed_options, with_option_order
from rl.data.prompt_rows import checked_messages
from rl.data.tables import short_repr
from rl.errors import InputError
from rl.evaluation.metrics.docmath import read_docmath_number
from rl.evaluation.problems.choices import LabelIs, choice_options, read_choices
from rl.evaluation.problems.documents import document_text


@dataclass(frozen=True, kw_only=True)
class RawRow:
    """A row as its source has it.

    Attributes:
        id: Names the problem within the benchmark.
        question: Text or chat messages.
        label: Text of the label's column; empty where it has none and none is needed.
        options: Cells of the options' columns.
        option_seed: Seed that shuffles options; None leaves them in order.
        label_is: What the label says of the right option; None: its letter or its text.
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
    label_is: LabelIs | None = None
    documents: Any = None
    aliases: Sequence[str] = ()
    strata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One problem as its source has it.

    Attributes:
        id: Names it within the benchmark.
        question: Text with the options of a multiple choice below it, or chat messages.
        label: The right answer; the letter of a multiple choice. Empty where there is none.
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
    label = after_hashes(row.label, row.where) if row.label else ""
    return Row(id=row.id, question=row.question, label=label, letters=None)


def read_choice(row: RawRow) -> Row:
    """Read a multiple choice: its options go below the question, its label becomes a letter.

    Messages hold their options already, as lines of the last user message: those are shuffled where
    options are.

    Raises:
        InputError: If there are not between 2 and 26 options, the label names none of them, or
            options that are to be shuffled do not stand in the messages.
    """
    several = any(isinstance(cell, list | Mapping) for cell in row.options)
    cells = row.options if several else [row.label, *row.options]  # the wrong ones, a column each
    if not isinstance(row.question, str) and row.option_seed is not None:
        return _read_choice_of_messages(row, choice_options(cells, row.where), several)
    found = read_choices(
        row.label,
        cells,
        row.where,
        seed=row.option_seed,
        label_is=row.label_is,
        have_letters=several,  # a column that holds the right one is not the first option
    )
    is_text = isinstance(row.question, str)
    return Row(
        id=row.id,
        question=f"{row.question}\n\n{found.lines()}" if is_text else row.question,
        label=found.label,
        letters=found.letters,
        strata=row.strata,
    )


def _read_choice_of_messages(row: RawRow, options: Sequence[str], have_letters: bool) -> Row:
    """Shuffle the options that stand in the last user message, if they are the row's own."""
    messages = checked_messages(row.question, row.where)
    text = asked_text(messages)
    listed = [option.strip() for option in listed_options(text) or ()]
    is_own = listed == options if have_letters else sorted(listed) == sorted(options)
    is_one_text = with_asked_text(messages, text) == messages  # no image stands between
    if not (is_own and is_one_text):
        raise InputError(
            f"options in {row.where}: got messages that list {short_repr(listed)}, expected "
            f"{short_repr(options)}, to shuffle them, a line each that begins with A., B. and so "
            "on, in one text of the last user message. Write them so, or the question as text."
        )
    label_is = row.label_is if have_letters else "text"
    found = read_choices(row.label, [listed], row.where, seed=row.option_seed, label_is=label_is)
    order = [listed.index(option) for option in found.options]
    return Row(
        id=row.id,
        question=with_asked_text(messages, with_option_order(text, order)),
        label=found.label,
        letters=found.letters,
        strata=row.strata,
    )


def read_choice_or_maths(row: RawRow) -> Row:
    """Read a multiple choice where a row has options, and where it has none an answer, or several.

    Each of several is right, compared as maths answers are.
    """
    if any(cell is not None and cell != [] for cell in row.options):
        return read_choice(row)
    aliases = tuple(alias for alias in row.aliases if alias != row.label)
    return replace(read_maths(row), aliases=aliases, strata=row.strata)


def read_short_answer_row(row: RawRow) -> Row:
    """Read a question that is answered in some words, which equal an accepted answer."""
    aliases = dict.fromkeys(alias.strip() for alias in row.aliases if alias.strip())
    accepted = tuple(alias for alias in aliases if alias != row.label)
    return replace(read_maths(row), rule="exact", aliases=accepted, strata=row.strata)


def read_document_word(row: RawRow) -> Row:
    """Read a question over documents, answered with a word that is compared as maths answers are.

    Such as yes, no or maybe (PubMedQA).
    """
    return replace(_over_documents(row, None), aliases=())


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
    if row.label and read_docmath_number(row.label) is None:
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
    found = read_choices(
        row.label, row.options, row.where, seed=row.option_seed, label_is=row.label_is
    )
    asked = _over_documents(row, None)
    return replace(
        asked,
        question=f"{asked.question}\nChoices:\n{found.lines('({letter}) {text}')}",
        label=found.label,
        letters=found.letters,
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
    "choice_or_maths": read_choice_or_maths,
    "short_answer": read_short_answer_row,
    "document_exact": read_document_exact,
    "document_cover": read_document_cover,
    "document_number": read_document_number,
    "document_choice": read_document_choice,
    "document_word": read_document_word,
}
CHOICE_KINDS = ("choice", "document_choice")  # every problem has options
DOCUMENT_KINDS = tuple(name for name in KINDS if name.startswith("document_"))


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
