"""A second opinion on every verdict: Math-Verify on whole completions, in killable workers.

The referee is handed the completion as it stands and extracts, parses and compares by itself, with
Math-Verify's defaults; the label is put in a box first. It evaluates text a model wrote, so it runs
in processes that are limited in memory and killed at a deadline, never here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from rl.answers.workers import WorkerContext, limit_process
from rl.data.whole_files import write_whole
from rl.evaluation.records import SampleRecord

REFEREE_FILE = "referee.json"
REFEREES = ("math_verify",)
_DEADLINE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A verdict of ours that the referee does not share.

    Attributes:
        problem_id: The problem.
        sample: The sample's number.
        label: The problem's label.
        answer: What we extracted.
        correct: Our verdict.
        referee_answer: What the referee extracted, as text; None if nothing.
        kind: Where the difference comes from, see `disagreement_kind`.
        end: The end of the completion.
    """

    problem_id: str
    sample: int
    label: str
    answer: str | None
    correct: bool
    referee_answer: str | None
    kind: str
    end: str


@dataclass(frozen=True, kw_only=True)
class RefereeReport:
    """What the referee said.

    Attributes:
        num_samples: Completions judged.
        num_without_verdict: Completions on which its worker crashed or ran into the deadline; they
            count as judged wrong.
        disagreements: Where it and we differ.
    """

    num_samples: int
    num_without_verdict: int
    disagreements: list[Disagreement]

    @property
    def agreement(self) -> float:
        """Share of completions with the same verdict, 1 of none."""
        return 1 - len(self.disagreements) / max(1, self.num_samples)

    def kinds(self) -> dict[str, int]:
        """Count the disagreements by kind, the most common first."""
        return dict(Counter(one.kind for one in self.disagreements).most_common())

    def write(self, folder: Path) -> Path:
        """Write referee.json."""
        document = {
            "referee": "math_verify",
            "num_samples": self.num_samples,
            "num_without_verdict": self.num_without_verdict,
            "agreement": self.agreement,
            "kinds": self.kinds(),
            "disagreements": [asdict(one) for one in self.disagreements],
        }
        path = folder / REFEREE_FILE
        write_whole(path, json.dumps(document, indent=2) + "\n")
        return path


def judge(samples: Sequence[SampleRecord], *, show_progress: bool = False) -> RefereeReport:
    """Let Math-Verify judge graded samples and compare its verdicts with ours.

    Letters of a multiple choice, and answers with a rule of their own, are left out: they are no
    maths.

    Args:
        samples: Graded samples.
        show_progress: Whether to show a bar.
    """
    samples = [sample for sample in samples if not sample.choices and sample.rule is None]
    pairs = list(dict.fromkeys((sample.label, sample.completion) for sample in samples))
    verdicts = dict(zip(pairs, _verdicts(pairs, show_progress), strict=True))
    disagreements = []
    for sample in samples:
        verdict = verdicts[sample.label, sample.completion]
        is_right, text = verdict or (False, None)
        if is_right != sample.correct:
            disagreements.append(
                Disagreement(
                    problem_id=sample.problem_id,
                    sample=sample.sample,
                    label=sample.label,
                    answer=sample.answer,
                    correct=sample.correct,
                    referee_answer=text,
                    kind=disagreement_kind(sample, verdict),
                    end=sample.completion[-200:],
                )
            )
    return RefereeReport(
        num_samples=len(samples),
        num_without_verdict=sum(
            verdicts[sample.label, sample.completion] is None for sample in samples
        ),
        disagreements=disagreements,
    )


def disagreement_kind(sample: SampleRecord, verdict: tuple[bool, str | None] | None) -> str:
    """Name what a disagreement comes from, as far as can be told from the outside."""
    if verdict is None:
        return "the referee has no verdict: its worker crashed or was killed"
    if sample.answer is None:
        return "we find no answer, the referee takes one from the text"
    if verdict[1] is None:
        return "the referee finds no answer, we do"
    if sample.correct:
        return "we say right, the referee wrong"
    return "the referee says right, we wrong"


def _verdicts(
    pairs: Sequence[tuple[str, str]], show_progress: bool
) -> Iterable[tuple[bool, str | None] | None]:
    context = WorkerContext()
    context.set_forkserver_preload(["rl.answers.verifier"])
    with (
        tqdm(desc="referee", total=len(pairs), unit="completion", disable=not show_progress) as bar,
        ProcessPool(max_workers=1, initializer=limit_process, context=context) as pool,
    ):
        for label, completion in pairs:
            task = pool.schedule(_judge_one, args=(label, completion), timeout=_DEADLINE_SECONDS)
            try:
                yield task.result()
            except (TimeoutError, ProcessExpired, MemoryError, RecursionError, BrokenProcessPool):
                yield None
            bar.update()


def _judge_one(label: str, completion: str) -> tuple[bool, str | None]:
    """Runs in the worker. The time limits are the parent's, which can end a C call."""
    from math_verify import parse, verify

    gold = parse(f"\\boxed{{{label}}}", parsing_timeout=None)  # type: ignore[arg-type]
    found = parse(completion, parsing_timeout=None)  # type: ignore[arg-type]
    is_right = verify(gold, found, timeout_seconds=None)
    return bool(is_right), str(found[-1])[:300] if found else None
