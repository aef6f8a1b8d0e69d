"""Texts that are nearly the same: MinHash finds candidates, the exact Jaccard index decides."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path

from rl.errors import InputError
from rl.processes import with_progress

NUM_PERMUTATIONS = 128
# Texts between two steps of a search for all ranks, and the least that make a result worth a file.
STEP = 256
WORTH_KEEPING = 1000


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


class DuplicateSearch:
    """Finds, text by text, an earlier one that is nearly repeated; see `near_duplicates`.

    Args:
        threshold: In (0, 1]; 1 finds texts of the same shingles.
        num_words: Words of a shingle, at least 1.

    Raises:
        InputError: If the threshold is out of range, or datasketch is not installed.
    """

    def __init__(self, threshold: float = 0.8, num_words: int = 3) -> None:
        if not 0 < threshold <= 1:
            raise InputError(
                f"near-duplicate threshold: got {threshold}, expected above 0 and at most 1. "
                "Use 0.8."
            )
        try:
            from datasketch import MinHashLSH
        except ImportError as error:
            raise InputError(
                f"near-duplicates: got no datasketch ({error}), expected it installed. Run pip "
                "install 'label-free-rl[selfplay]'."
            ) from error
        self.threshold = threshold
        self.num_words = num_words
        # The exact index decides, so the search is set to miss little and to find too many.
        self._index = MinHashLSH(
            threshold=0.8 * threshold, num_perm=NUM_PERMUTATIONS, weights=(0.1, 0.9)
        )
        self._kept: dict[int, frozenset[str]] = {}
        self._num_seen = 0

    def add(self, text: str) -> int | None:
        """Return the position of the earlier text that this one repeats; None for a new text."""
        from datasketch import MinHash

        number, self._num_seen = self._num_seen, self._num_seen + 1
        runs = shingles(text, self.num_words)
        sketch = MinHash(num_perm=NUM_PERMUTATIONS, seed=1)
        sketch.update_batch([run.encode("utf-8", "replace") for run in sorted(runs)])
        candidates = [key for key in self._index.query(sketch) if isinstance(key, int)]
        matches = [c for c in candidates if _jaccard(runs, self._kept[c]) >= self.threshold]
        if not matches:
            self._kept[number] = runs
            self._index.insert(number, sketch)
        return min(matches, default=None)


def near_duplicates(
    texts: Iterable[str], threshold: float = 0.8, num_words: int = 3
) -> list[int | None]:
    """Find for each text an earlier one that it nearly repeats.

    A text repeats an earlier one that repeats none itself if |A and B| / |A or B| >= threshold over
    their shingles. MinHash may miss a few pairs just above the threshold.

    Source: threshold 0.8 and 128 permutations as in SPELL, arXiv 2509.23863, appendix E.1.

    Args:
        texts: In the order in which they count as earlier.
        threshold: See `DuplicateSearch`.
        num_words: See `DuplicateSearch`.

    Returns:
        Position of the earlier text, the first of several; None for a text that repeats none.

    Raises:
        InputError: As `DuplicateSearch`.
    """
    search = DuplicateSearch(threshold, num_words)
    return [search.add(text) for text in texts]


def find_duplicates(
    texts: Mapping[str, str], threshold: float, folder: Path | None = None
) -> Generator[None, None, list[int | None]]:
    """Do the work of `near_duplicates` in steps for `from_main_process`, with a progress bar.

    Documents of 32,768 characters take about 18 ms each, so what is found is kept in a file under a
    hash of all that it depends on: a dry run, a resumed run and another run read it there.

    Args:
        texts: Key that says all of a text, such as a hash -> text.
        threshold: See `DuplicateSearch`.
        folder: Where results of at least `WORTH_KEEPING` texts are kept; None keeps none.

    Yields:
        After each `STEP` texts.

    Raises:
        InputError: As `DuplicateSearch`, or if the file is damaged.
    """
    search = DuplicateSearch(threshold)
    said = json.dumps([list(texts), threshold, search.num_words, NUM_PERMUTATIONS])
    name = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16]
    file = None if folder is None or len(texts) < WORTH_KEEPING else folder / f"{name}.json"
    if file is not None and file.is_file():
        return _read(file, len(texts))
    found = []
    for text in with_progress(texts.values(), "finding duplicates", "document"):
        found.append(search.add(text))
        if len(found) % STEP == 0:
            yield
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as unfinished:
            json.dump(found, unfinished)
        os.replace(unfinished.name, file)
    return found


def _read(file: Path, num_texts: int) -> list[int | None]:
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        found = str(error)
    if not isinstance(found, list) or len(found) != num_texts:
        raise InputError(
            f"near-duplicates {file}: got {str(found)[:100]}, expected a list of {num_texts} "
            "positions. Delete it; they are searched for again."
        )
    return found


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)
