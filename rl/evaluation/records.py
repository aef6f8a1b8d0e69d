"""What an evaluation writes: samples.jsonl, a line per problem and sample, problems, summary."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rl.data.json_lines import read_json_lines
from rl.data.tables import short_repr
from rl.data.whole_files import write_whole
from rl.errors import InputError

SAMPLES_FILE = "samples.jsonl"
PROBLEMS_FILE = "problems.jsonl"
SUMMARY_FILE = "summary.json"
# Fields of few benchmarks: a line of samples.jsonl holds them where they say something.
_LEFT_OUT_IF_EMPTY = ("aliases", "rule", "scores", "strata", "prompt_cut", "images")


@dataclass(frozen=True, kw_only=True)
class SampleRecord:
    """One sampled completion of one problem and its grade: a line of samples.jsonl.

    Attributes:
        problem_id: Names the problem within its benchmark.
        sample: Position among the problem's samples, from 0.
        seed: The problem's seed; sample i is a function of the prompt, this seed and i. None if it
            is not known.
        prompt_id: Hash of the rendered prompt, or of the messages where an endpoint renders them.
        completion: Sampled text, special tokens removed.
        num_tokens: Sampled tokens, the end token included; None if it is not known.
        truncated: Whether sampling stopped at the length limit; None if it is not known.
        answer: Answer extracted from the completion, None if there is none.
        cluster: The answer's equivalence class among the problem's samples, from 0 in order of
            first appearance; None if there is no answer.
        correct: Whether the answer's class equals the label; False if there is no answer.
        label: The problem's label.
        choices: Letters of a multiple-choice problem, None for any other.
        must_close_thought: Whether the prompt, or the user, says that the model thinks first: then
            a completion without `</think>` holds no answer.
        finish_reason: Why sampling stopped: "stop", "length", or what an endpoint reports.
        latency_seconds: From asking an endpoint to its reply, None for an engine that samples many
            completions together.
        grader: Version of the rules that graded the sample, see `rl.evaluation.grading`.
        aliases: Further right answers, for the rules that know several.
        rule: Key of `rl.evaluation.rules.RULES`, None for maths and multiple choices.
        scores: Further numbers in [0, 1] the rule gave it, such as {"f1": 0.5}.
        strata: Groups of problems it is reported with, such as {"length": "short"}.
        prompt_cut: Whether the prompt was too long and lost its middle.
        images: Digests of the prompt's images, in order.
    """

    problem_id: str
    sample: int
    seed: int | None
    prompt_id: str
    completion: str
    num_tokens: int | None
    truncated: bool | None
    answer: str | None = None
    cluster: int | None = None
    correct: bool = False
    label: str
    choices: str | None = None
    must_close_thought: bool = False
    finish_reason: str | None = None
    latency_seconds: float | None = None
    grader: str | None = None
    aliases: Sequence[str] = ()
    rule: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, str] = field(default_factory=dict)
    prompt_cut: bool = False
    images: Sequence[str] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """All right answers, the label first."""
        return (self.label, *self.aliases)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric: its mean over problems and the 95% bootstrap interval.

    Attributes:
        value: Mean over the problems.
        ci_low: Lower end of the interval.
        ci_high: Upper end of the interval.
        n: Number of problems.
        standard_error: Between-problem standard error of the mean, None for one problem.
    """

    value: float
    ci_low: float
    ci_high: float
    n: int
    standard_error: float | None = None


def read_samples(output_dir: Path) -> list[SampleRecord]:
    """Read samples.jsonl and cut off a last line that a killed run left half-written.

    Returns:
        The records in the file's order; none if there is no file.

    Raises:
        InputError: If a complete line is not a record.
    """
    path = output_dir / SAMPLES_FILE
    if not path.exists():
        return []
    content = path.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    if complete != content:
        os.truncate(path, len(complete))
    return [
        _record(line, f"{path}, line {number}")
        for number, line in enumerate(complete.splitlines(), start=1)
    ]


def append_samples(output_dir: Path, records: Iterable[SampleRecord]) -> None:
    """Append records to samples.jsonl."""
    with open(output_dir / SAMPLES_FILE, "a", encoding="utf-8") as lines:
        lines.writelines(_line(record) for record in records)


def write_samples(output_dir: Path, records: Iterable[SampleRecord]) -> None:
    """Replace samples.jsonl as a whole, so that a kill leaves the old file or the new one."""
    write_whole(output_dir / SAMPLES_FILE, "".join(_line(record) for record in records))


def write_problems(output_dir: Path, problems: Iterable[Mapping[str, Any]]) -> None:
    """Write problems.jsonl: what was asked, a line per problem.

    Args:
        output_dir: Folder of an evaluation.
        problems: `problem_id`, `prompt` (text or chat messages, before a chat template), `question`
            (as the source states it, null if it is not known) and `label` of each; `images`, their
            digests, where there are some.
    """
    write_whole(
        output_dir / PROBLEMS_FILE, "".join(json.dumps(dict(one)) + "\n" for one in problems)
    )


def read_problems(output_dir: Path) -> dict[str, dict[str, Any]]:
    """Read problems.jsonl: problem id -> its line; nothing where there is no file."""
    path = output_dir / PROBLEMS_FILE
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        lines = [line.value for line in read_json_lines(file, path)]
    return {line["problem_id"]: line for line in lines}


def write_summary(output_dir: Path, metrics: dict[str, Estimate]) -> None:
    """Write summary.json: metric -> value, ci_low, ci_high, n, standard_error."""
    summary = {name: asdict(estimate) for name, estimate in metrics.items()}
    write_whole(output_dir / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")


def make_folder(path: Path, what: str) -> None:
    """Make a folder that files can be written to, if it is not there.

    Args:
        path: The folder.
        what: The option that names it, for the message.

    Raises:
        InputError: If it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{what}: got {path}, expected a folder that can be written ({error.strerror}). Name "
            "another one."
        ) from error


def _line(record: SampleRecord) -> str:
    values = {k: v for k, v in asdict(record).items() if v or k not in _LEFT_OUT_IF_EMPTY}
    return json.dumps(values) + "\n"


def _record(line: bytes, where: str) -> SampleRecord:
    try:
        record = SampleRecord(**json.loads(line))
        return replace(record, aliases=tuple(record.aliases), images=tuple(record.images))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{where}: got {short_repr(line)}, expected a sample of an evaluation ({error}). "
            "Remove the line or choose another output_dir."
        ) from error
