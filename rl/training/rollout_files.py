"""A file of rollouts: one JSON line per rollout, gzipped, a long prompt written once.

All rollouts of a group have one prompt, and in self-play over documents it is tens of thousands of
characters long: gzip, which looks back 32 KB, would store it again on every line. So where a prompt
of more than `MAX_REPEATED_CHARACTERS` characters has been written to a file, later lines of the
same `prompt_id` hold `"prompt": null`, and `read_rollout_file` fills it in. Shorter prompts stand
on every line.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rl.data.json_lines import JsonLine, read_json_lines

MAX_REPEATED_CHARACTERS = 2000


def write_rollout_file(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write rollouts to a new file.

    Args:
        path: Its name, with a suffix of .gz.
        lines: Rollouts with at least `prompt_id` and `prompt`; one prompt has one id.
    """
    written = set()
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for line in lines:
            if len(line["prompt"]) > MAX_REPEATED_CHARACTERS:
                if line["prompt_id"] in written:
                    line = {**line, "prompt": None}
                written.add(line["prompt_id"])
            file.write(json.dumps(line) + "\n")


def read_rollout_file(path: Path) -> Iterator[JsonLine]:
    """Yield the lines of a file of rollouts, each with its prompt.

    Lines of other files, such as saved completions, come back as they are.

    Args:
        path: The file, plain or .gz.

    Raises:
        InputError: At a line that is no JSON in UTF-8, or where a compressed file breaks off.
        OSError: If it cannot be opened.
    """
    prompts: dict[str, str] = {}
    with path.open("rb") as file:
        for line in read_json_lines(file, path):
            value = line.value
            if isinstance(value, dict) and "prompt" in value and "prompt_id" in value:
                name, prompt = str(value["prompt_id"]), value["prompt"]
                if isinstance(prompt, str):
                    prompts[name] = prompt
                elif name in prompts:
                    line = line._replace(value={**value, "prompt": prompts[name]})
            yield line
