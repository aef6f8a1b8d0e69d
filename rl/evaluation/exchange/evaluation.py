"""An evaluation as the writers of other formats see it: model, benchmark, problems, samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.data.chat_parts import text_of
from rl.data.prompts import Prompt
from rl.evaluation.manifest import read_manifest
from rl.evaluation.metrics.summary import group_by_problem
from rl.evaluation.problems.registry import short_name
from rl.evaluation.records import SampleRecord, read_problems, read_samples


@dataclass(frozen=True, kw_only=True)
class ExportedProblem:
    """One problem and its graded samples.

    Attributes:
        id: Names it within the benchmark.
        prompt: Text or chat messages; None where the evaluation did not keep it.
        label: The right answer.
        samples: In the order of their numbers.
    """

    id: str
    prompt: Prompt | None
    label: str
    samples: Sequence[SampleRecord]

    @property
    def text(self) -> str:
        """The prompt as one text: messages one below the other, without their roles."""
        if self.prompt is None or isinstance(self.prompt, str):
            return self.prompt or ""
        return "\n\n".join(text_of(message["content"]) for message in self.prompt)


@dataclass(frozen=True, kw_only=True)
class ExportedEvaluation:
    """An evaluation that is written in another format.

    Attributes:
        model: Folder's name, hub id, or the name an endpoint serves.
        benchmark: Its short name.
        date: Of the manifest, without colons and time zone: 2026-11-25T10-00-00.
        settings: What decided the samples, as the manifest has it.
        problems: In the order of the samples.
    """

    model: str
    benchmark: str
    date: str
    settings: dict[str, Any]
    problems: Sequence[ExportedProblem]


def read_export(folder: Path) -> ExportedEvaluation:
    """Read a graded evaluation from its folder.

    Raises:
        InputError: If the folder holds none.
    """
    manifest = read_manifest(folder)
    prompts = read_problems(folder)
    settings = manifest["settings"]
    model = settings.get("model") or "unknown"
    return ExportedEvaluation(
        model=Path(model).name if Path(model).is_dir() else model,
        benchmark=short_name(manifest.get("benchmark") or manifest["scored_file"]),
        date=manifest["date"].partition("+")[0].replace(":", "-"),
        settings=settings,
        problems=[
            ExportedProblem(
                id=name,
                prompt=prompts.get(name, {}).get("prompt"),
                label=samples[0].label,
                samples=samples,
            )
            for name, samples in group_by_problem(read_samples(folder)).items()
        ],
    )
