"""Tell whether evaluated problems were trained on: transductive, held-out, or not known.

Prompts are compared after Unicode normalisation, in lower case and without spaces. A problem counts
as trained on if it is the prompt, or, from 40 characters on, if it stands in one as a whole: a chat
template, a system prompt or a suffix may be around it. Paraphrases are not found. A problem with
images was trained on only beside the same images, in the same order, and may then be of any length.

Of rollouts only the rendered prompts are left. There a shorter problem counts as trained on if it
is what stands between two of the chat template's tokens, but for the role and the run's suffix; of
one that is not found so nothing is known, since other words may stand around it. The same holds for
a shorter problem of messages, whose end may be words of the evaluation.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rl.answers.boxes import SPECIAL_TOKEN
from rl.data.chat_parts import MARK, text_of
from rl.data.prompts import Prompt, load_prompts
from rl.data.row_images import RowImages
from rl.data.yaml_text import read_yaml_file
from rl.errors import InputError
from rl.evaluation.problems.labelled import Problem, Reading, load_benchmark
from rl.evaluation.problems.prompt_templates import with_documents
from rl.evaluation.problems.registry import split_name
from rl.training.rollout_files import read_rollout_file

# A shorter text, such as 1+2=, may be the end of another problem.
MIN_CONTAINED_CHARACTERS = 40

# What a chat template writes before a turn, beside its tokens.
_ROLE = re.compile(r"^\s*(?:<start_of_turn>)?(?:user|human)\s*\n")

# A text, rendered or not; with the digests of its images, in order, where it has some.
TrainPrompt: TypeAlias = str | tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class TrainPrompts:
    """The prompts of a training run.

    Attributes:
        prompts: Each once.
        are_rendered: Whether they are what a chat template made of the data set's.
        suffix: What the run put after each of the data set's.
    """

    prompts: list[TrainPrompt]
    are_rendered: bool = False
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Which of the evaluated problems a training run saw.

    Attributes:
        problem_ids: Those that were trained on, in the problems' order.
        num_problems: Evaluated problems.
        num_train_prompts: Distinct prompts of the run.
        unknown_ids: Those of which it cannot be told.
    """

    problem_ids: list[str]
    num_problems: int
    num_train_prompts: int
    unknown_ids: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the problems that were trained on, as far as it is known."""
        return len(self.problem_ids) / self.num_problems

    @property
    def label(self) -> str:
        """`transductive`, `held-out`, `unknown`, or how many problems were trained on."""
        num_found, num_unknown = len(self.problem_ids), len(self.unknown_ids)
        if num_found == self.num_problems:
            return "transductive"
        if num_unknown == self.num_problems:
            return "unknown whether trained on"
        not_known = f", unknown of {num_unknown}" if num_unknown else ""
        if not num_found:
            return f"held-out{not_known}"
        return f"{num_found} of {self.num_problems} problems were trained on{not_known}"

    def as_facts(self, train_run: Path) -> dict[str, Any]:
        """Return what the manifest says about it."""
        return {
            "train_run": str(train_run),
            "train_overlap": {
                "label": self.label,
                "share": self.share,
                "num_train_prompts": self.num_train_prompts,
                "problem_ids": self.problem_ids,
                "unknown_ids": self.unknown_ids,
            },
        }


def find_overlap(problems: Sequence[Problem], trained: TrainPrompts) -> Overlap:
    """Find the problems that stand among the prompts of a run.

    Args:
        problems: What is evaluated, at least one.
        trained: As `read_train_prompts` returns them.
    """
    by_images: dict[tuple[str, ...], set[str]] = {}
    known: set[tuple[str, tuple[str, ...]]] = set()
    for prompt in trained.prompts:
        text, images = (prompt, ()) if isinstance(prompt, str) else prompt
        by_images.setdefault(images, set()).add(normalize(text))
        more = _turns(text) if trained.are_rendered else [text + trained.suffix]
        known |= {(normalize(one), images) for one in (text, *more)}
    # A normalised text holds no line end.
    joined = {images: "\n".join(sorted(texts)) for images, texts in by_images.items()}
    found, unknown = [], []
    for problem in problems:
        images = problem.image_digests
        asked = problem.question or _text_of(problem.prompt)
        asked = asked.replace(MARK, "") if problem.images else asked  # prompts have places there
        stated = asked
        if problem.documents is not None:
            stated = with_documents(asked, problem.documents)
        text = normalize(asked)
        wholes = [asked, stated, asked + trained.suffix, stated + trained.suffix]
        wholes.append(_text_of(problem.prompt))
        # The same images tell a short question from the end of another one.
        is_long = len(text) >= (1 if problem.images else MIN_CONTAINED_CHARACTERS)
        is_part = is_long and text in joined.get(images, "")
        if is_part or any((normalize(whole), images) in known for whole in wholes):
            found.append(problem.id)
        elif not is_long and (trained.are_rendered or problem.question is None):
            unknown.append(problem.id)
    return Overlap(
        problem_ids=found,
        num_problems=len(problems),
        num_train_prompts=sum(map(len, by_images.values())),
        unknown_ids=unknown,
    )


def read_train_prompts(run_dir: Path) -> TrainPrompts:
    """Read the prompts of a training run.

    Args:
        run_dir: Its output folder.

    Returns:
        The prompts of the data that config.yaml names where all of it lies here; otherwise the
        prompts in `rollouts/*.jsonl.gz`; without those, the data from the hub. What the run
        dropped from it is not among them. A prompt with images comes with their digests.

    Raises:
        InputError: If none of them can be read.
    """
    settings = _read_part(run_dir / "config.yaml", "settings")
    dropped = set(_read_part(run_dir / "config.yaml", "prompts").get("dropped_rows", ()))
    names = settings.get("dataset") or []
    names = [names] if isinstance(names, str) else names
    suffix = settings.get("prompt_suffix") or ""
    rollouts = sorted((run_dir / "rollouts").glob("*.jsonl.gz"))
    if rollouts and not (names and all(map(_lies_here, names))):
        seen: dict[TrainPrompt, None] = {}
        for path in rollouts:
            lines = (line.value for line in read_rollout_file(path))
            seen |= dict.fromkeys(
                _seen(str(line["prompt"]), line.get("images") or ()) for line in lines
            )
        return TrainPrompts(list(seen), are_rendered=True, suffix=suffix)
    if not names:
        raise InputError(
            f"--train_run: got {run_dir}, expected the output folder of a training run, with "
            "rollouts/ or a config.yaml that names its dataset. Check the path."
        )
    rows = [row for name in names for row in _rows_of(name, settings)]
    kept = [prompt for row, prompt in enumerate(rows) if row not in dropped and prompt is not None]
    return TrainPrompts(list(dict.fromkeys(kept)), suffix=suffix)


def _lies_here(name: str) -> bool:
    """Whether a data set is a file or a folder, or a local copy of a benchmark."""
    return Path(split_name(name)[1] or name).expanduser().exists()


def _rows_of(name: str, settings: dict[str, Any]) -> list[TrainPrompt | None]:
    """Each row's prompt without the run's own words; None where an image cannot be read."""
    column = settings.get("prompt_column")
    config_name, images = settings.get("dataset_config_name"), settings.get("image_column")
    allow_remote = bool(settings.get("allow_remote_images"))
    if split_name(name)[0] is not None:
        reading: Reading = {
            "split": settings.get("dataset_split"),
            "config_name": config_name,
            "image_column": images,
            # The setting's own value: the benchmark knows its column.
            "prompt_column": None if column == "prompt" else column,
            "allow_remote_images": allow_remote,
            "needs_labels": False,
        }
        problems = load_benchmark(name, **reading).problems
        return [_seen(_text_of(problem.prompt), problem.image_digests) for problem in problems]
    data = load_prompts(
        name,
        split=settings.get("dataset_split") or "train",
        config_name=config_name,
        prompt_column=column or "prompt",
        image_column=images,
    ).dataset
    digests: dict[int, Sequence[str]] = {}
    if "images" in data.column_names:
        readable = RowImages(data, allow_remote).keep_readable(data).prompts
        digests = dict(zip(readable["row"], readable["image_digests"], strict=True))
        return [
            _seen(_text_of(prompt), digests[row]) if row in digests else None
            for row, prompt in zip(data["row"], data["prompt"], strict=True)
        ]
    return [_text_of(prompt) for prompt in data["prompt"]]


def _turns(rendered: str) -> Iterator[str]:
    """What stands between the special tokens of a chat template, without the name of a role."""
    for turn in SPECIAL_TOKEN.split(rendered):
        yield _ROLE.sub("", turn)


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


def _text_of(prompt: Prompt) -> str:
    """The text, or the last user message."""
    if isinstance(prompt, str):
        return prompt
    asked = [text_of(message["content"]) for message in prompt if message["role"] == "user"]
    return asked[-1] if asked else ""


def _seen(text: str, images: Sequence[str]) -> TrainPrompt:
    return (text, tuple(images)) if images else text
