"""Choose the threshold of votes over meanings on one half of labelled pairs; try it on the other.

The pairs are short answers that mean the same or do not, written by us. A coin, the first bit of a
hash of the pair, decides which half a pair is in. On the choosing half the threshold with the
highest F0.5 is taken, which counts precision twice: two answers that are wrongly one class may pay
a wrong answer, two that are wrongly apart cost a vote. Of equal ones the highest is taken.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rl.answers import cluster_answers
from rl.answers.meaning import Meaning, plain_text
from rl.errors import InputError, exit_on_bad_input

PAIRS = Path(__file__).with_name("meaning_pairs.tsv")
GRID = [threshold / 100 for threshold in range(40, 100)]
EPILOG = """
example:
  python scripts/measurements/meanings.py
  python scripts/measurements/meanings.py --model sentence-transformers/all-mpnet-base-v2
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two answers, whether they mean the same, and what is said of it.

    Attributes:
        is_same: Whether they mean the same.
        category: What kind of pair it is.
        is_for_choice: Whether the threshold is chosen on it.
        cosine: Of their embeddings alone.
        similarity: With our rules (`rl.answers.meaning.Meaning.similarities`).
    """

    is_same: bool
    category: str
    is_for_choice: bool
    cosine: float
    similarity: float


@exit_on_bad_input()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print, as JSON, the chosen threshold and how good it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="labelled pairs (%(default)s)")
    parser.add_argument("--model", default=Meaning().model, help="embedder (%(default)s)")
    args = parser.parse_args(arguments)
    pairs = read_pairs(args.pairs, Meaning(model=args.model))
    choosing = [pair for pair in pairs if pair.is_for_choice]
    others = [pair for pair in pairs if not pair.is_for_choice]
    report: dict[str, Any] = {"pairs": len(pairs), "same": sum(pair.is_same for pair in pairs)}
    for name, field in (("with rules", "similarity"), ("cosine alone", "cosine")):
        threshold = best_threshold(choosing, field)
        report[name] = {
            "threshold": threshold,
            "choosing half": scores(choosing, field, threshold),
            "other half": scores(others, field, threshold),
            "wrong in the other half": wrong_by_category(others, field, threshold),
        }
    print(json.dumps(report, indent=2))


def read_pairs(path: Path, meaning: Meaning) -> list[Pair]:
    """Read labelled pairs and compare them.

    Raises:
        InputError: If the file is missing or a row is incomplete.
    """
    try:
        rows = list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"))
    except OSError as error:
        raise InputError(f"--pairs: got {path}, expected a file ({error}). Name one.") from error
    pairs = []
    for row in rows:
        verdict, left, right = row.get("verdict"), row.get("left"), row.get("right")
        if verdict not in ("same", "different") or not left or not right:
            raise InputError(
                f"--pairs {path}: got the row {row}, expected verdict (same or different), "
                "category, left and right. Mend it."
            )
        rule_of = dict(zip((left, right), cluster_answers([left, right]), strict=True))
        coin = hashlib.sha256(f"{left}\t{right}".encode()).digest()[0] & 1
        pairs.append(
            Pair(
                is_same=verdict == "same",
                category=row.get("category") or "",
                is_for_choice=bool(coin),
                cosine=float(meaning.cosines([plain_text(left), plain_text(right)])[0, 1]),
                similarity=float(meaning.similarities([left, right], rule_of)[0, 1]),
            )
        )
    return pairs


def scores(pairs: Sequence[Pair], field: str, threshold: float) -> dict[str, float]:
    """Return counts, precision, recall and F0.5 of the pairs that are called the same."""
    called = [pair for pair in pairs if getattr(pair, field) >= threshold]
    right, same = sum(pair.is_same for pair in called), sum(pair.is_same for pair in pairs)
    precision = right / len(called) if called else 1.0
    recall = right / same if same else 1.0
    weighed = 0.25 * precision + recall
    return {
        "called same": len(called),
        "of them right": right,
        "same": same,
        "different": len(pairs) - same,
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f0.5": round(1.25 * precision * recall / weighed, 4) if weighed else 0.0,
    }


def best_threshold(pairs: Sequence[Pair], field: str) -> float:
    """Return the threshold of `GRID` with the highest F0.5, the highest of equal ones."""
    return max(GRID, key=lambda threshold: (scores(pairs, field, threshold)["f0.5"], threshold))


def wrong_by_category(pairs: Sequence[Pair], field: str, threshold: float) -> dict[str, str]:
    """Category -> how many of its pairs are judged wrongly."""
    found = {}
    for category in dict.fromkeys(pair.category for pair in pairs):
        those = [pair for pair in pairs if pair.category == category]
        wrong = sum((getattr(pair, field) >= threshold) != pair.is_same for pair in those)
        found[category] = f"{wrong} of {len(those)}"
    return found


if __name__ == "__main__":
    main()
