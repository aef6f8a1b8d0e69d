"""The order of a multiple choice's options: shuffled, but for options that speak of the others."""

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
