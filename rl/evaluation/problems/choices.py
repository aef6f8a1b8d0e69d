"""Options of a multiple choice: read from a row's cells, put in order, and which one is right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import Any, Literal, TypeAlias

from rl.data.option_order import option_order
from rl.data.tables import short_repr
from rl.errors import InputError

# What a label is: the letter of the right option, its text, or its place, counted from 0.
LabelIs: TypeAlias = Literal["letter", "text", "index"]


@dataclass(frozen=True)
class Choices:
    """Options as they are asked.

    Attributes:
        options: Their texts, in order.
        label: Letter of the right one; an empty text where the row has no label.
    """

    options: list[str]
    label: str

    @property
    def letters(self) -> str:
        """Their letters, such as "ABCD"."""
        return ascii_uppercase[: len(self.options)]

    def lines(self, form: str = "{letter}) {text}") -> str:
        """A line for each option."""
        pairs = zip(self.letters, self.options, strict=True)
        return "\n".join(form.format(letter=letter, text=text) for letter, text in pairs)


def read_choices(
    label: str,
    cells: Sequence[Any],
    where: str,
    *,
    seed: int | None = None,
    label_is: LabelIs | None = None,
    have_letters: bool = True,
) -> Choices:
    """Read the options of a row and the letter of the right one.

    Args:
        label: What the row says of the right option; an empty text: nothing.
        cells: One cell with a list of options or with an object of letter -> option, or one cell
            for each option.
        where: Row and column, for messages.
        seed: Shuffles the options (`rl.data.option_order`); None leaves them in order.
        label_is: What the label is. Of an object it is always a letter. None finds out: a text or a
            letter, and refuses one that is both.
        have_letters: As for `option_order`.

    Raises:
        InputError: If there are not between 2 and 26 options, or the label names none of them.
    """
    options = choice_options(cells, where)
    if any(isinstance(cell, Mapping) for cell in cells):
        label_is = "letter"
    order = list(range(len(options)))
    if seed is not None:
        order = option_order(options, Random(seed), have_letters=have_letters)
    asked = [options[place] for place in order]
    if not label:
        return Choices(asked, "")
    right = _right_place(label, options, where, label_is)
    return Choices(asked, ascii_uppercase[order.index(right)])


def choice_options(cells: Sequence[Any], where: str) -> list[str]:
    """Return the options of a row: those of a cell with several, or else one of each cell.

    Raises:
        InputError: If they are not between 2 and 26 texts.

    Example:
        >>> choice_options([{"A": "4", "B": " 5", "C": None}], "row 0")
        ['4', '5']
    """
    several = next((cell for cell in cells if isinstance(cell, list | Mapping)), list(cells))
    options = _by_letter(several) if isinstance(several, Mapping) else list(several)
    texts = ["" if option is None else str(option).strip() for option in options]
    if not 2 <= len(texts) <= len(ascii_uppercase) or not all(texts):
        raise InputError(
            f"options in {where}: got {short_repr(several)}, expected a list of 2 to 26 texts, or "
            "an object of them by letter. Correct the row or name another --options_column."
        )
    return texts


def _by_letter(cell: Mapping[str, Any]) -> list[Any]:
    """Options of an object {"A": ..., "B": ...}; letters without a text at its end are dropped."""
    named = sorted(key for key, option in cell.items() if option is not None)
    return [cell[key] for key in named] if ascii_uppercase.startswith("".join(named)) else []


def _right_place(label: str, options: Sequence[str], where: str, label_is: LabelIs | None) -> int:
    letters = ascii_uppercase[: len(options)]
    label = label.strip()
    bare = label.strip("().") if label not in options or label_is == "letter" else label
    by_text = options.index(label) if label in options and label_is in (None, "text") else None
    by_letter = letters.index(bare) if len(bare) == 1 and bare in letters else None
    if label_is == "index":
        found = int(label) if label.isdecimal() and int(label) < len(options) else None
        rule = f"the place of an option, 0 to {len(options) - 1}"
    elif label_is == "letter":
        found, rule = by_letter, f"a letter up to {letters[-1]}"
    elif label_is == "text":
        found, rule = by_text, "one of the options"
    elif None not in (by_text, by_letter) and by_text != by_letter:
        found, rule = None, "not the letter of one option and the text of another: write (C) for C"
    else:
        found = by_letter if by_text is None else by_text
        rule = f"a letter up to {letters[-1]} or one of the options"
    if found is None:
        raise InputError(
            f"label in {where}: got {short_repr(label)}, expected {rule}. Correct the row or name "
            "another column."
        )
    return found
