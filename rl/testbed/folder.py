"""A testbed's folder: written whole or not at all, and used again if it is there."""

import json
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from rl.data.whole_files import writing_into
from rl.errors import InputError

_UNFINISHED_PREFIX = ".building-"


def check_numbers(seed: int, num_pretraining_steps: int) -> None:
    """Refuse numbers out of range.

    Raises:
        InputError: If one is.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: got {seed}, expected 0..{2**32 - 1}. Choose another seed.")
    if num_pretraining_steps < 1:
        raise InputError(
            f"num_pretraining_steps: got {num_pretraining_steps}, expected at least 1. Raise it."
        )


def write_folder(
    output_dir: Path, settings: dict[str, Any], write: Callable[[Path], PreTrainedModel]
) -> bool:
    """Write a testbed into a folder, unless it holds this testbed already.

    A build that is stopped early leaves no testbed: testbed.json is written last.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        settings: What decides the testbed's content, as JSON gives it back.
        write: Writes the content into an empty folder and returns the base model.

    Returns:
        Whether the folder held it already, so that nothing was built.

    Raises:
        InputError: If the folder holds anything else or cannot be written.
    """
    if _holds_testbed(output_dir, settings):
        return True
    with writing_into(output_dir, "then give the same command again"):
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output_dir, prefix=_UNFINISHED_PREFIX) as name:
            model = write(Path(name))
            for entry in sorted(Path(name).iterdir()):
                entry.rename(output_dir / entry.name)
        packages = ("torch", "transformers", "tokenizers")
        record = {
            "settings": settings,
            "num_parameters": model.num_parameters(),
            "versions": {"python": platform.python_version()}
            | {package: version(package) for package in packages},
        }
        (output_dir / "testbed.json").write_text(
            json.dumps(record, indent=2) + "\n", encoding="utf-8"
        )
    return False


def _holds_testbed(output_dir: Path, settings: dict[str, Any]) -> bool:
    """Say whether the folder holds the testbed (True) or is free (False); refuse anything else."""
    if not output_dir.exists():
        return False
    if not output_dir.is_dir():
        raise InputError(f"output_dir: got the file {output_dir}, expected a folder. Name another.")
    if all(entry.name.startswith(_UNFINISHED_PREFIX) for entry in output_dir.iterdir()):
        return False
    try:
        record = json.loads((output_dir / "testbed.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        record = None
    if not isinstance(record, dict) or "settings" not in record:
        raise InputError(
            f"output_dir: got {output_dir}, which holds other files, expected a new or empty "
            "folder or a finished testbed. Choose another folder or empty this one."
        )
    if record["settings"] != settings:
        raise InputError(
            f"output_dir: got {output_dir}, which holds a testbed with other settings "
            f"({_differences(record['settings'], settings)}), expected a new or empty folder. "
            "Choose another folder or delete this testbed."
        )
    return True


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {found.get(key)!r} instead of {wanted.get(key)!r}"
        for key in sorted({*found, *wanted})
        if found.get(key) != wanted.get(key)
    )
