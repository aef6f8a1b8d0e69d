"""The training problems of the testbed of strategies in their other wordings, for views."""

import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any, get_args

from rl.data.json_lines import write_json_lines
from rl.data.tables import load_table
from rl.testbed.strategies import Wording, write_prompt

WORDINGS_FILE = "wordings.jsonl"


def read_prompt(prompt: str) -> tuple[list[int], Wording]:
    """Read the terms and the wording of a sum.

    Raises:
        ValueError: If it is no prompt of the testbed.

    Example:
        >>> read_prompt("3 plus 5 minus 2 is ")
        ([3, 5, -2], 'spoken')
    """
    signs = prompt.replace(" ", "").replace("plus", "+").replace("minus", "-")
    terms = [int(term) for term in re.findall(r"[+-]?\d+", signs)]
    for wording in get_args(Wording):
        if terms and write_prompt(terms, wording) == prompt:
            return terms, wording
    raise ValueError(f"prompt: got {prompt!r}, expected a sum of the testbed of strategies.")


def other_wordings(
    prompt: str, wordings: Iterable[Wording], taken: Container[str] = ()
) -> list[str]:
    """Ask for the same sum in other words.

    Args:
        prompt: The sum.
        wordings: In this order; its own is left out.
        taken: Prompts that are left out.

    Example:
        >>> other_wordings("3+5-2=", ["compact", "spaced", "listed"])
        ['3 + 5 - 2 = ', 'add 3,5,-2:']
    """
    terms, own = read_prompt(prompt)
    texts = [write_prompt(terms, wording) for wording in wordings if wording != own]
    return [text for text in texts if text not in taken]


def write_wordings(folder: Path, wordings: Iterable[Wording]) -> int:
    """Write `wordings.jsonl`: the training problems with labels and the column `paraphrases`.

    A wording of a problem may be the prompt of a held-out one: it is left out, and so is a problem
    that then has no other wording.

    Args:
        folder: A testbed of strategies.
        wordings: Those that may be trained.

    Returns:
        How many problems it has.
    """
    heldout = {
        prompt
        for path in sorted((folder / "heldout").glob("*.jsonl"))
        for prompt in load_table(str(path))["prompt"]
    }
    table = load_table(str(folder / "labelled.jsonl"))
    rows: list[dict[str, Any]] = []
    for prompt, label in zip(table["prompt"], table["label"], strict=True):
        if texts := other_wordings(prompt, wordings, heldout):
            rows.append({"prompt": prompt, "label": label, "paraphrases": texts})
    write_json_lines(folder / WORDINGS_FILE, rows)
    return len(rows)
