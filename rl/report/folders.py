"""Read what a run or an evaluation left in its folder, finished or not."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rl.data.json_lines import read_json_lines
from rl.data.yaml_text import read_yaml_file
from rl.errors import InputError

RUN_FILES = ("config.yaml", "metrics.jsonl", "rollouts", "summary.json")


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A training run or an evaluation, as found on disk.

    Attributes:
        name: What the report calls it; no two in one report are alike.
        path: Its folder.
        kind: "evaluation" if the folder holds samples of an evaluation, else "run".
        supervised: Whether its reward saw labels.
        is_finished: Whether its summary was written.
        summary: Contents of summary.json; of a killed run, "before" if that was evaluated.
        metrics: Whole lines of metrics.jsonl, in the file's order.
        settings: Settings of config.yaml, or what the manifest says decides the samples.
        about: What else config.yaml or manifest.json says: geometry, versions, commit, date.
    """

    name: str
    path: Path
    kind: Literal["run", "evaluation"]
    supervised: bool = False
    is_finished: bool = False
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def read_folders(paths: Sequence[Path]) -> list[ReportedRun]:
    """Read every folder; one that only holds evaluations in subfolders stands for all of them.

    Raises:
        InputError: If a folder is missing, is named twice, holds neither a run nor an evaluation,
            or a file in it is damaged other than by a kill (half a line at the end).
    """
    folders = [folder for path in paths for folder in _expand(path)]
    resolved = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, resolved, strict=True):
        if resolved.count(place) > 1:
            raise InputError(f"RUN: got {folder} twice, expected each once. Name it once.")
    names = unique_names(resolved)
    return [_read_folder(folder, name) for folder, name in zip(folders, names, strict=True)]


def is_finished(folder: Path) -> bool:
    """Whether the run or the evaluation in a folder has come to its end."""
    return (folder / "summary.json").is_file()


def rollout_settings(path: Path) -> dict[str, Any]:
    """Return the settings of the run that wrote a file of rollouts.

    Args:
        path: RUN/rollouts/step_N.jsonl.gz; of a file elsewhere nothing is known.

    Raises:
        InputError: If the run's config.yaml is no YAML.
    """
    folder = path.resolve().parent
    if folder.name != "rollouts":
        return {}
    return _mapping(_read_yaml(folder.parent / "config.yaml").get("settings"))


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name each path by its last parts, as few as tell all of them apart.

    Args:
        paths: Different absolute paths.

    Example:
        >>> unique_names([Path("/a/one/eval"), Path("/a/two/eval")])
        ['one/eval', 'two/eval']
    """
    longest = max((len(path.parts) for path in paths), default=0)
    for length in range(1, longest + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def read_whole_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON objects, one a line, without a last line that a kill left unfinished.

    Returns:
        The objects; none if there is no file.

    Raises:
        InputError: If a whole line is not a JSON object.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = io.BytesIO(content[: content.rfind(b"\n") + 1])
    lines = []
    for number, value, _ in read_json_lines(whole, path):
        if not isinstance(value, dict):
            raise InputError(
                f"{path} line {number}: got {type(value).__name__}, expected a JSON object. "
                "Remove the line."
            )
        lines.append(value)
    return lines


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InputError(f"RUN: got {path}, expected the folder of a run. Check the path.")
    if _is_evaluation(path) or any((path / name).exists() for name in RUN_FILES):
        return [path]
    parts = sorted(child for child in path.iterdir() if child.is_dir() and _is_evaluation(child))
    if not parts:
        raise InputError(
            f"RUN: got {path}, expected a folder with {', '.join(RUN_FILES)} (a run) or "
            "manifest.json (an evaluation). Check the path."
        )
    return parts


def _is_evaluation(path: Path) -> bool:
    return (path / "manifest.json").is_file() or (path / "samples.jsonl").is_file()


def _read_folder(path: Path, name: str) -> ReportedRun:
    summary = _read_json(path / "summary.json")
    if _is_evaluation(path):
        manifest = _read_json(path / "manifest.json")
        settings = manifest.pop("settings", {})
        about = {key: value for key, value in manifest.items() if key != "versions"}
        return ReportedRun(
            name=name,
            path=path,
            kind="evaluation",
            is_finished=bool(summary),
            summary=summary,
            settings={**settings, **_scalars(about)},
            about=manifest,
        )
    metrics = read_whole_lines(path / "metrics.jsonl")
    config = _read_yaml(path / "config.yaml")
    settings = _mapping(config.pop("settings", None))
    is_finished = bool(summary)
    if not summary and (path / "before.json").is_file():
        found = _read_json(path / "before.json")
        # Runs of earlier versions wrote the metrics alone.
        summary = found if "intervals" in found else {"before": found}
    return ReportedRun(
        name=name,
        path=path,
        kind="run",
        supervised=any(
            source.get("supervised") is True for source in (settings, summary, *metrics[:1])
        ),
        is_finished=is_finished,
        summary=summary,
        metrics=metrics,
        settings=settings,
        about=config,
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: got {error}, expected a JSON object. Correct or remove the file."
        ) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return _mapping(read_yaml_file(path))


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _scalars(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not isinstance(value, dict)}
