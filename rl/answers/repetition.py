"""How much of a text repeats itself: pure text in, a share out."""

import re

_PIECE = re.compile(r"\w+|[^\w\s]")
# A completion has fewer; the bound keeps a hostile text's n-grams in memory.
_MAX_CHARACTERS = 100_000


def repeated_ngram_share(text: str, length: int = 20) -> float:
    """Return the share of n-grams that occurred earlier in the text.

    share = 1 - distinct n-grams / n-grams

    Words and single signs count as one piece each, whitespace as none. Linear in the text; of a
    text of more than 100,000 characters only the end is read.

    Args:
        text: Any text.
        length: Pieces in an n-gram, at least 1. Short ones repeat in any text; 20 pieces are about
            a line of worked maths.

    Returns:
        A share in [0, 1): 0.0 if nothing repeats or the text is shorter than one n-gram; close to
        1 for one phrase over and over.

    Example:
        >>> repeated_ngram_share("a b a b a b", length=2)
        0.6
    """
    pieces = _PIECE.findall(text[-_MAX_CHARACTERS:])
    num_ngrams = len(pieces) - length + 1
    if num_ngrams < 1:
        return 0.0
    distinct = {tuple(pieces[start : start + length]) for start in range(num_ngrams)}
    return (num_ngrams - len(distinct)) / num_ngrams
