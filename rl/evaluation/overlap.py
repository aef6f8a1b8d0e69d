"""Tell whether evaluated problems were trained on: transductive or held-out.

Prompts are compared after Unicode normalisation, in lower case and without spaces. A problem counts
as trained on if it is the prompt, or, from 40 characters on, if it stands in one as a whole: a chat
template, a system prompt or a suffix may be around it. Paraphrases are not found. A problem with
images was trained on only beside the same images, in the same order, and may then be of any length.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rl.data.chat_parts import text_of
from rl.data.prompts import Prompt, join_prompts, load_prompts
from rl.data.row_images import RowImages
from rl.data.yaml_text import read_yaml_file
from rl.errors import InputError
from rl.evaluation.problems.labelled import Problem, Reading, load_benchmark
from rl.evaluation.problems.registry import split_name
from rl.training.rollout_files import read_rollout_file

# A shorter text, such as 1+2=, may be the end of another problem.
MIN_CONTAINED_CHARACTERS = 40

# A text, rendered or not; with the digests of its images, in order, where it has some.
TrainPrompt: TypeAlias = str | tuple[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Which of the evaluated problems a training run saw.

    Attributes:
        problem_ids: Those that were trained on, in the problems' order.
        num_problems: Evaluated problems.
        num_train_prompts: Distinct prompts of the run.
    """

    problem_ids: list[str]
    num_problems: int
    num_train_prompts: int

    @property
    def share(self) -> float:
        """Share of the problems that were trained on."""
        return len(self.problem_ids) / self.num_problems

    @property
    def label(self) -> str:
        """`transductive`, `held-out`, or how many problems were trained on."""
        if not self.problem_ids:
            return "held-out"
        if len(self.problem_ids) == self.num_problems:
            return "transductive"
        return f"{len(self.problem_ids)} of {self.num_problems} problems were trained on"

    def as_facts(self, train_run: Path) -> dict[str, Any]:
        """Return what the manifest says about it."""
        return {
            "train_run": str(train_run),
            "train_overlap": {
                "label": self.label,
                "share": self.share,
                "num_train_prompts": self.num_train_prompts,
                "problem_ids": self.problem_ids,
            },
        }


def find_overlap(problems: Sequence[Problem], train_prompts: Iterable[TrainPrompt]) -> Overlap:
    """Find the problems that stand among the prompts of a run.

    Args:
        problems: What is evaluated, at least one.
        train_prompts: As `read_train_prompts` returns them.
    """
    by_images: dict[tuple[str, ...], set[str]] = {}
    for prompt in train_prompts:
        text, images = (prompt, ()) if isinstance(prompt, str) else prompt
        by_images.setdefault(images, set()).add(normalize(text))
    # A normalised text holds no line end.
    joined = {images: "\n".join(sorted(texts)) for images, texts in by_images.items()}
    found = []
    for problem in problems:
        known = by_images.get(problem.image_digests, set())
        text = normalize(problem.question or _text_of(problem.prompt))
        # The same images tell a short question from the end of another one.
        shortest = 1 if problem.images else MIN_CONTAINED_CHARACTERS
        whole = normalize(_text_of(problem.prompt))
        is_part = len(text) >= shortest and text in joined.get(problem.image_digests, "")
        if text in known or whole in known or is_part:
            found.append(problem.id)
    num_known = sum(map(len, by_images.values()))
    return Overlap(problem_ids=found, num_problems=len(problems), num_train_prompts=num_known)


def read_train_prompts(run_dir: Path) -> list[TrainPrompt]:
    """Read the prompts of a training run.

    Args:
        run_dir: Its output folder.

    Returns:
        The prompts of the dataset that config.yaml names where that is a local file; otherwise the
        prompts in `rollouts/*.jsonl.gz`; without those, the dataset from the hub. What the run
        dropped from the dataset is not among them. A prompt with images comes with their digests.

    Raises:
        InputError: If none of them can be read.
    """
    settings = _read_part(run_dir / "config.yaml", "settings")
    dropped = set(_read_part(run_dir / "config.yaml", "prompts").get("dropped_rows", ()))
    names = settings.get("dataset") or []
    names = [names] if isinstance(names, str) else names
    rollouts = sorted((run_dir / "rollouts").glob("*.jsonl.gz"))
    if rollouts and not (names and all(Path(name).expanduser().is_file() for name in names)):
        seen: dict[TrainPrompt, None] = {}
        for path in rollouts:
            lines = (line.value for line in read_rollout_file(path))
            seen |= dict.fromkeys(
                _seen(str(line["prompt"]), line.get("images") or ()) for line in lines
            )
        return list(seen)
    if not names:
        raise InputError(
            f"--train_run: got {run_dir}, expected the output folder of a training run, with "
            "rollouts/ or a config.yaml that names its dataset. Check the path."
        )
    if all(split_name(name)[0] is not None for name in names):
        problems = _benchmark_problems(names, settings)
        return [
            _seen(_text_of(problem.prompt), problem.image_digests)
            for row, problem in enumerate(problems)
            if row not in dropped
        ]
    parts = [
        load_prompts(
            name,
            split=settings.get("dataset_split") or "train",
            config_name=settings.get("dataset_config_name"),
            prompt_column=settings.get("prompt_column") or "prompt",
            image_column=settings.get("image_column"),
        )
        for name in names
    ]
    data = join_prompts(parts).dataset
    digests: Sequence[Sequence[str]] = [()] * len(data)
    if "images" in data.column_names:
        allow_remote = bool(settings.get("allow_remote_images"))
        readable = RowImages(data, allow_remote).keep_readable(data)
        data, digests = readable.prompts, readable.prompts["image_digests"]
    return [
        _seen(_text_of(prompt), images)
        for row, prompt, images in zip(data["row"], data["prompt"], digests, strict=True)
        if row not in dropped
    ]


def normalize(text: str) -> str:
    r"""Return the text in Unicode's NFKC form, in lower case, without any space.

    Example:
        >>> normalize(" What is  2+2?\n")
        'whatis2+2?'
    """
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def _read_part(config_path: Path, name: str) -> dict[str, Any]:
    if not config_path.is_file():
        return {}
    document = read_yaml_file(config_path)
    part = document.get(name) if isinstance(document, dict) else None
    return part if isinstance(part, dict) else {}


def _benchmark_problems(names: Sequence[str], settings: dict[str, Any]) -> list[Problem]:
    """The problems of benchmarks that a run of these settings was trained on."""
    reading: Reading = {
        "image_column": settings.get("image_column"),
        "allow_remote_images": bool(settings.get("allow_remote_images")),
        "needs_labels": False,
    }
    return [problem for name in names for problem in load_benchmark(name, **reading).problems]


def _text_of(prompt: Prompt) -> str:
    """The text, or the last user message."""
    if isinstance(prompt, str):
        return prompt
    asked = [text_of(message["content"]) for message in prompt if message["role"] == "user"]
    return asked[-1] if asked else ""


def _seen(text: str, images: Sequence[str]) -> TrainPrompt:
    return (text, tuple(images)) if images else text
