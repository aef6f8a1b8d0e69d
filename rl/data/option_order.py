"""The order of a multiple choice's options: shuffled, but for options that speak of the others.

Options stand in a column of their own, or in the text of the question, as lines with letters.
"""

import re
from collections.abc import Sequence
from random import Random

# "None of the above", "All of these": stand last. Not "all of the patients".
_OF_THE_OTHERS = re.compile(
    r"(?:none|all|any|both|neither|either|two|some)(?: of)?(?: the)?"
    r" (?:above|these|those|preceding|listed|(?:other )?(?:options|choices|answers)|given)\b"
    r"|(?:none|all) of them\b",
    re.IGNORECASE,
)
# "Both A and B", "A, C and D only", "(A) or (B)", "Neither A nor C": name others by their letter.
_LETTER = r"\(?[A-Z]\)?(?![\w'\u2019-])"
_NAMES_LETTERS = re.compile(
    rf"(?:(?:[Bb]oth|[Nn]either|[Ee]ither|[Oo]nly|[Oo]ptions?|[Cc]hoices?) )*"
    rf"{_LETTER}(?:(?:,| and| or| nor| &|, and|, or)+ {_LETTER})+(?: only| both)?\.?"
)

# "A. 3", "(B) 4", "C: 5": a line with an option.
_OPTION = re.compile(r"^(?P<before>\s*\(?)(?P<letter>[A-Z])(?P<after>[.:)]\s*)(?P<text>\S.*)$")


def option_order(options: Sequence[str], rng: Random, *, have_letters: bool = True) -> list[int]:
    """Shuffle options.

    Those that speak of the others as a whole ("None of the above") stand last, in the order they
    had. Where one names others by letter ("Both A and B") all keep their places, because its text
    would have to change.

    Args:
        options: Their texts, in the source's order.
        rng: Draws the order; options may be of any number.
        have_letters: Whether the source gives them an order, in which an option may name others by
            letter; if not, such a text is an option as any other.

    Returns:
        Which option stands first, second and so on.

    Example:
        >>> option_order(["None of the above", "3", "4"], Random(1))
        [2, 1, 0]
        >>> option_order(["3", "4", "Both A and B"], Random(1))
        [0, 1, 2]
    """
    places = list(range(len(options)))
    texts = [option.strip() for option in options]
    if have_letters and any(_NAMES_LETTERS.fullmatch(text) for text in texts):
        return places
    last = [place for place in places if _OF_THE_OTHERS.match(texts[place])]
    free = [place for place in places if place not in last]
    rng.shuffle(free)
    return [*free, *last]


def listed_options(text: str) -> list[str] | None:
    r"""Find the options that a text lists.

    They are the last lines that begin with A, B, C, ... in turn, as `A. `, `A) `, `A: ` or `(A) `,
    one line each.

    Returns:
        Their texts, in order; None where there are not two.

    Example:
        >>> listed_options("Which is even?\nA. 3\nB. 4")
        ['3', '4']
    """
    found = _option_lines(text.split("\n"))
    return None if found is None else [match["text"] for match in found.values()]


def with_option_order(text: str, order: Sequence[int]) -> str:
    r"""Put the options that a text lists into another order; letters stay where they are.

    Args:
        text: One in which `listed_options` finds as many.
        order: Which option stands first, second and so on.

    Example:
        >>> with_option_order("Which is even?\n(A) 3\n(B) 4\nSay a letter.", [1, 0])
        'Which is even?\n(A) 4\n(B) 3\nSay a letter.'
    """
    lines = text.split("\n")
    found = _option_lines(lines)
    assert found is not None, "no options in the text"
    options = list(found.values())
    for (place, option), source in zip(found.items(), order, strict=True):
        start = f"{option['before']}{option['letter']}{option['after']}"
        lines[place] = start + options[source]["text"]
    return "\n".join(lines)


def _option_lines(lines: Sequence[str]) -> dict[int, re.Match[str]] | None:
    """Number of each line with an option -> its parts."""
    found: dict[int, re.Match[str]] = {}
    for i, line in enumerate(lines):
        match = _OPTION.match(line)
        if match and match["letter"] == "A":
            found = {i: match}
        elif match and found and match["letter"] == chr(ord("A") + len(found)):
            found[i] = match
    return found if len(found) > 1 else None
