"""Texts that are nearly the same: MinHash finds candidates, the exact Jaccard index decides."""

import re
from collections.abc import Iterable

from rl.errors import InputError

NUM_PERMUTATIONS = 128


def shingles(text: str, num_words: int = 3) -> frozenset[str]:
    """All runs of `num_words` words of a text, in lower case; a shorter text is one run.

    Example:
        >>> sorted(shingles("Who wrote the Iliad?", 3))
        ['who wrote the', 'wrote the iliad']
    """
    words = re.findall(r"\w+", text.casefold())
    if len(words) <= num_words:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[i : i + num_words]) for i in range(len(words) - num_words + 1))


def near_duplicates(
    texts: Iterable[str], threshold: float = 0.8, num_words: int = 3
) -> list[int | None]:
    """Find for each text an earlier one that it nearly repeats.

    A text repeats an earlier one that repeats none itself if |A and B| / |A or B| >= threshold over
    their shingles. MinHash may
    miss a few pairs just above the threshold.

    Source: threshold 0.8 and 128 permutations as in SPELL, arXiv 2509.23863, appendix E.1.

    Args:
        texts: In the order in which they count as earlier.
        threshold: In (0, 1]; 1 finds texts of the same shingles.
        num_words: Words of a shingle, at least 1.

    Returns:
        Position of the earlier text, the first of several; None for a text that repeats none.

    Raises:
        InputError: If the threshold is out of range, or datasketch is not installed.
    """
    if not 0 < threshold <= 1:
        raise InputError(
            f"near-duplicate threshold: got {threshold}, expected above 0 and at most 1. Use 0.8."
        )
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise InputError(
            f"near-duplicates: got no datasketch ({error}), expected it installed. Run pip install "
            "'label-free-rl[selfplay]'."
        ) from error
    # The exact index decides, so the search is set to miss little and to find too many.
    index = MinHashLSH(threshold=0.8 * threshold, num_perm=NUM_PERMUTATIONS, weights=(0.1, 0.9))
    kept: dict[int, frozenset[str]] = {}
    found: list[int | None] = []
    for number, text in enumerate(texts):
        runs = shingles(text, num_words)
        sketch = MinHash(num_perm=NUM_PERMUTATIONS, seed=1)
        sketch.update_batch([run.encode("utf-8", "replace") for run in sorted(runs)])
        candidates = [key for key in index.query(sketch) if isinstance(key, int)]
        matches = [c for c in candidates if _jaccard(runs, kept[c]) >= threshold]
        match = min(matches, default=None)
        found.append(match)
        if match is None:
            kept[number] = runs
            index.insert(number, sketch)
    return found


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)
