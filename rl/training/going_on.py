"""Whether a run starts or goes on, and from which checkpoint."""

import json
import logging
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from accelerate import PartialState

from rl.errors import InputError, RunFailed
from rl.processes import from_main_process
from rl.training.changed_settings import LENGTHS
from rl.training.checkpoints import checkpoint_problem, newest_whole_checkpoint
from rl.training.files import RunFiles, resolved_settings

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig

logger = logging.getLogger(__name__)


def choose_checkpoint(
    requested: bool | str | None, run_files: RunFiles, dry_run: bool = False
) -> Path | None:
    """Return the checkpoint a run goes on from; None if it starts.

    The main process looks, and reads every file of the checkpoint; all ranks get its answer.

    Args:
        requested: A checkpoint folder; true: the newest whole one of this run, or an error; "auto":
            the same, but where there is no checkpoint at all the run starts; false or None: it
            starts, in a folder that holds no run.
        run_files: Of the run.
        dry_run: Whether the folder must not be touched.

    Raises:
        InputError: If there is no whole checkpoint where one is asked for, if all of them are
            damaged, or if a run cannot start in its folder.
    """
    found, problem = from_main_process(_choose(requested, run_files, dry_run))
    if problem:
        raise InputError(problem)
    return found


def _choose(
    requested: bool | str | None, run_files: RunFiles, dry_run: bool
) -> Generator[None, None, tuple[Path | None, str]]:
    """Choose on the main process; what the user has to mend is returned, for all ranks."""
    yield
    try:
        return _find(requested, run_files, dry_run), ""
    except InputError as error:
        return None, str(error)


def _find(requested: bool | str | None, run_files: RunFiles, dry_run: bool) -> Path | None:
    word = str(requested or "false").lower()
    checkpoint = None
    if word in ("true", "auto"):
        checkpoint = _newest(word, run_files)
    elif word != "false":
        checkpoint = _named(Path(str(requested)))
    if dry_run:
        return checkpoint
    if checkpoint is None and word == "auto":
        if run_files.holds_run:
            logger.warning(
                "%s: got a run that was stopped before its first checkpoint; it starts anew.",
                run_files.output_dir,
            )
        run_files.check_writable()
    elif checkpoint is None or checkpoint.resolve().parent != run_files.output_dir.resolve():
        run_files.check_free()
    return checkpoint


def _newest(word: str, run_files: RunFiles) -> Path | None:
    found = newest_whole_checkpoint(run_files.output_dir)
    skipped = "; ".join(f"{name}, {problem}" for name, problem in found.skipped.items())
    if found.checkpoint is not None:
        if skipped:
            logger.warning("goes on from %s; skipped: %s", found.checkpoint, skipped)
        return found.checkpoint
    if word == "auto" and not skipped:
        return None
    advice = (
        "Start anew in another output_dir, or remove them and pass auto."
        if skipped
        else "Pass auto to start where there is none."
    )
    raise InputError(
        f"resume_from_checkpoint: got {skipped or 'no checkpoint-N folder'} in "
        f"{run_files.output_dir}, expected a whole checkpoint. {advice}"
    )


def _named(folder: Path) -> Path:
    problem = checkpoint_problem(folder)
    if problem:
        raise InputError(
            f"resume_from_checkpoint: got {folder}, {problem}, expected a whole checkpoint. Name "
            "another one, or pass true for the newest whole one."
        )
    return folder


def finished_summary(config: "LabelFreeConfig") -> dict[str, Any] | None:
    """Return the summary of a run that `auto` finds at its end; None if there is more to do.

    A run that was made longer since (`LENGTHS`) goes on.

    Raises:
        RunFailed: If it ended as failed, so that a job script which repeats it is told again.
    """
    if str(config.resume_from_checkpoint).lower() != "auto":
        return None
    folder = Path(config.output_dir)
    try:
        summary = json.loads((folder / "summary.json").read_bytes())
        saved = yaml.safe_load((folder / "config.yaml").read_bytes())["settings"]
        lengths = {name: saved[name] for name in LENGTHS}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None
    settings = resolved_settings(config)
    if any(settings[name] != length for name, length in lengths.items()):
        return None
    verdict = summary.get("verdict", "")
    if any(event.get("failed") for event in summary.get("guards", [])[-1:]):
        raise RunFailed(f"{folder}: the run is finished; nothing is done. It {verdict}")
    if PartialState().is_main_process:
        logger.warning("%s: the run is finished; nothing is done. Guards: %s", folder, verdict)
    return summary
