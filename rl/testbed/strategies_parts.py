"""The training problems of the testbed of strategies in parts, for streams of data sets."""

from pathlib import Path

from rl.data.json_lines import write_json_lines
from rl.data.tables import load_table
from rl.testbed.strategies import kind_of
from rl.testbed.strategies_wordings import read_prompt

PARTS_FOLDER = "train"


def write_parts(folder: Path) -> dict[str, int]:
    """Write `train/<part>.jsonl`: the prompts of train.jsonl by wording, and again by kind.

    Each division has every prompt once, in the order of train.jsonl. Files of wordings and kinds
    that were not trained are not written. `heldout/` has a file of the same name for each but
    `plain`, which `heldout/compact.jsonl` asks for.

    Args:
        folder: A testbed of strategies.

    Returns:
        Part -> how many prompts it has.
    """
    parts: dict[str, list[dict[str, str]]] = {}
    for prompt in load_table(str(folder / "train.jsonl"))["prompt"]:
        terms, wording = read_prompt(prompt)
        for part in (wording, kind_of(terms)):
            assert part is not None, prompt
            parts.setdefault(part, []).append({"prompt": prompt})
    (folder / PARTS_FOLDER).mkdir(exist_ok=True)
    for part, rows in parts.items():
        write_json_lines(folder / PARTS_FOLDER / f"{part}.jsonl", rows)
    return {part: len(rows) for part, rows in parts.items()}
