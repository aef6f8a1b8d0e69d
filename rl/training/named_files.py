"""What the files hold that a run's settings name, as hashes: one changed under its name is noticed.

Code of rewards, guards and other plug-ins, documents and prompts of self-play. Of a dataset the
prompts are compared themselves (`rl.data.prompt_lengths.check_same_prompts`).
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Settings that name code, and keys under which they name files of data.
OF_CODE = (
    *("rewards", "advantage", "token_selector", "loss_terms", "curriculum", "guards", "selfplay"),
    *("gradient_mask", "branching", "engine", "answer_methods", "answer_comparer", "views"),
)
OF_DATA = ("documents", "prompts", "majority_ratios", "pairs")


def file_hashes(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Hash what the settings of a run name.

    Args:
        settings: Field -> value, as in config.yaml.

    Returns:
        Setting -> name as it stands there -> 16 hex digits; settings that name nothing are left
        out, and so is a name that is no file or folder here, such as a hub id.
    """
    found = {}
    for setting in OF_CODE:
        paths = dict(_named(settings.get(setting)))
        hashes = {name: _hash(path) for name, path in paths.items() if path.exists()}
        found |= {setting: hashes} if hashes else {}
    names = settings.get("dataset") or []
    names = [names] if isinstance(names, str) else names
    if settings.get("supervised") and (files := [n for n in names if Path(n).is_file()]):
        # Their labels are seen by the reward.
        found["dataset"] = {name: _hash(Path(name)) for name in files}
    return found


def _named(value: Any, is_data: bool = False) -> Iterator[tuple[str, Path]]:
    """Yield every name of a file in a setting, and where it is."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named(key)
            yield from _named(inner, is_data or key in OF_DATA)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner, is_data)
    elif isinstance(value, str):
        location, _, attribute = value.rpartition(":")
        module = getattr(sys.modules.get(location), "__file__", None)
        if is_data:
            yield value, Path(value).expanduser()
        elif attribute and location.endswith(".py"):
            yield value, Path(location).expanduser()
        elif attribute and module:
            yield value, Path(module)


def _hash(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        name = file.relative_to(path).as_posix()
        digest.update(f"{content} {name}\n".encode())
    return digest.hexdigest()[:16]
