"""Kinds of benchmark: how a row's question and label are read.

To add one, write a function `RawRow -> Row` and a line in `KINDS`; one of your own goes by
`path/to/file.py:function`. A row with letters is graded by the letter, any other by its answer,
which the answer methods and the comparer of an evaluation find and compare (`rl.answers.options`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import Any

from rl.data.tables import short_repr
from rl.errors import InputError


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
    """

    id: str
    question: Any
    label: str
    options: Sequence[Any]
    option_seed: int | None
    where: str


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
    options = choice_options(row.options, row.label, row.where)
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


KINDS: Mapping[str, Callable[[RawRow], Row]] = {
    "maths": read_maths,
    "hashes": read_hashes,
    "choice": read_choice,
}


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
