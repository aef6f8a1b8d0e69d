"""Short names of benchmarks that tell files of one name apart, by the folders they lie in."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path


def distinct_names(places: Iterable[str], short: Callable[[str], str]) -> dict[str, str]:
    """Name every place shortly, and no two alike.

    A place keeps its short name if no other has it. Those that share one are called by the shortest
    endings of their paths, without suffix, that differ; where only the suffix or the way it is
    written tells two apart, by the file's name with suffix, or as it is written.

    Args:
        places: Different benchmarks, as they are named: paths, hub ids, known names.
        short: From a place to its short name.

    Returns:
        Place -> name, in their order.

    Example:
        >>> distinct_names(["a/t.jsonl", "b/t.jsonl", "b/u.csv"], lambda place: Path(place).stem)
        {'a/t.jsonl': 'a/t', 'b/t.jsonl': 'b/t', 'b/u.csv': 'u'}
    """
    candidates = {place: [short(place), *_endings(place), place] for place in places}
    while True:
        counts = Counter(names[0] for names in candidates.values())
        shared = [n for n in candidates.values() if counts[n[0]] > 1 and len(n) > 1]
        if not shared:
            return {place: names[0] for place, names in candidates.items()}
        for names in shared:
            del names[0]


def _endings(place: str) -> list[str]:
    """The endings of a path without suffix, from two parts on, then the whole with it."""
    path = Path(place)
    if not path.name:
        return []
    parts = path.with_name(path.name.partition(".")[0] or path.name).parts
    endings = [Path(*parts[-n:]) for n in range(2, len(parts) + 1)]
    return [ending.as_posix() for ending in [*endings, path]]
