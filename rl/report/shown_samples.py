"""Choose the samples of an evaluation that a report shows: some of every problem, within bytes."""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rl.evaluation.metrics.comparison import majority_is_right
from rl.evaluation.records import PROBLEMS_FILE, SAMPLES_FILE
from rl.report.byte_budget import fill_evenly
from rl.report.embedding import compressed_sizes, to_json
from rl.report.folders import ReportedRun, read_whole_lines
from rl.report.rollout_groups import cut_completion, image_digests

TITLE_CHARACTERS = 90
_NOT_SHOWN = {"problem_id", "sample", "prompt_id", "seed", "choices", "must_close_thought"}
_NOT_SHOWN |= {"grader", "images"}

Sample = dict[str, Any]


class _Grade(NamedTuple):
    cluster: int | None
    correct: bool


@dataclass(frozen=True, kw_only=True)
class ShownProblem:
    """A problem of an evaluation: what all its samples say, and those of them that are shown.

    Attributes:
        problem_id: Its id.
        title: The start of its prompt in one line, or its id where the prompt is not known.
        prompt: What was asked, "" where it is not known.
        label: Its label, None where it is not known.
        num_samples: How many samples it has.
        num_right: How many of them are right.
        is_right: Whether the majority of all samples is right, by the rule of
            `rl.evaluation.metrics.comparison`.
        classes: Answer classes of all samples, the largest first, those without an answer last:
            {"key": class or null, "answer", "votes", "correct"}.
        rollouts: Samples that are shown, in the words of a rollout line.
        images: Digests of the prompt's images, in order.
    """

    problem_id: str
    title: str
    prompt: str
    label: str | None
    num_samples: int
    num_right: int
    is_right: bool
    classes: list[dict[str, Any]]
    rollouts: list[Sample]
    images: list[str] = field(default_factory=list)


def choose_samples(run: ReportedRun, max_bytes: int) -> list[ShownProblem]:
    """Read an evaluation and choose samples of every problem.

    Every problem is kept with its prompt, its answer classes and its votes. Samples are added one
    of each problem at a time, in the order of `order_samples`, as long as they fit.

    Args:
        run: The evaluation.
        max_bytes: Bytes that everything may take once compressed.

    Raises:
        InputError: If a file of it holds a line that is no JSON object.
    """
    by_problem: dict[str, list[Sample]] = defaultdict(list)
    for sample in read_whole_lines(run.path / SAMPLES_FILE):
        by_problem[str(sample.get("problem_id", ""))].append(sample)
    asked = {
        str(line.get("problem_id", "")): line for line in read_whole_lines(run.path / PROBLEMS_FILE)
    }
    problems, ordered, costs, spent = [], [], [], 0
    for name, samples in by_problem.items():
        problem = describe_problem(name, samples, asked.get(name, {}))
        order = order_samples(samples)
        shown = [_shown_sample(samples[i]) for i in order]
        about = [problem.title, problem.prompt, problem.classes]
        first, *sizes = compressed_sizes([to_json(about), *map(to_json, shown)])
        # The title stands in the list of problems and in the grid as well.
        spent += first + sum(compressed_sizes([to_json([name, problem.title])])) * 2
        problems.append(problem)
        ordered.append(shown)
        costs.append(sizes)
    counts = fill_evenly(costs, max_bytes - spent)
    for problem, samples, count in zip(problems, ordered, counts, strict=True):
        kept = samples[:count]
        if all(isinstance(sample["rollout"], int) for sample in kept):
            kept.sort(key=lambda sample: sample["rollout"])
        problem.rollouts.extend(kept)
    return problems


def describe_problem(
    name: str, samples: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]
) -> ShownProblem:
    """Say what all samples of a problem come to; none of them is shown yet.

    Args:
        name: Id of the problem.
        samples: Its graded samples, at least one.
        asked: Its line of problems.jsonl, if there is one.
    """
    prompt = _prompt_text(asked.get("prompt")) or _prompt_text(asked.get("question"))
    title = _prompt_text(asked.get("question")) or prompt
    label = samples[0].get("label")
    graded = [_Grade(_class_of(sample), sample.get("correct") is True) for sample in samples]
    return ShownProblem(
        problem_id=name,
        title=one_line(title) or f"problem {name}",
        prompt=prompt,
        label=None if label is None else str(label),
        num_samples=len(samples),
        num_right=sum(sample.correct for sample in graded),
        is_right=majority_is_right(graded),
        classes=answer_classes(samples),
        rollouts=[],
        images=image_digests(asked) or image_digests(samples[0]),
    )


def answer_classes(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count the answer classes of a problem's samples, as `ShownProblem.classes` has them."""
    members: dict[int | None, list[Mapping[str, Any]]] = defaultdict(list)
    for sample in samples:
        members[_class_of(sample)].append(sample)
    ordered = sorted(members.items(), key=lambda item: (item[0] is None, -len(item[1])))
    return [
        {
            "key": key,
            "answer": str(inside[0].get("answer") or ""),
            "votes": len(inside),
            "correct": inside[0].get("correct") is True,
        }
        for key, inside in ordered
    ]


def order_samples(samples: Sequence[Mapping[str, Any]]) -> list[int]:
    """Order a problem's samples so that the first few of them show most of what there is.

    First a sample of the largest right class, one of the largest wrong class and one without an
    answer, as far as there are such; then of each class in proportion to its votes: the next one is
    of the class with the highest votes / (samples of it so far + 1), which is D'Hondt's method.

    Returns:
        Positions in `samples`, each once.
    """
    members: dict[int | None, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        members[_class_of(sample)].append(i)
    named = sorted((key for key in members if key is not None), key=lambda key: -len(members[key]))
    right = [key for key in named if samples[members[key][0]].get("correct") is True]
    wrong = [key for key in named if key not in right]
    first: list[int | None] = [*right[:1], *wrong[:1]]
    if None in members:
        first.append(None)
    order = [members[key][0] for key in first]
    waiting = []
    for rank, (key, inside) in enumerate(members.items()):
        taken = 1 if key in first else 0
        if taken < len(inside):
            waiting.append((-len(inside) / (taken + 1), rank, taken, inside))
    heapq.heapify(waiting)
    while waiting:
        _, rank, taken, inside = heapq.heappop(waiting)
        order.append(inside[taken])
        if taken + 1 < len(inside):
            heapq.heappush(waiting, (-len(inside) / (taken + 2), rank, taken + 1, inside))
    return order


def sample_note(problems: Sequence[ShownProblem]) -> str:
    """Say which samples are shown and how they were chosen; "" if all of them are."""
    shown = [len(problem.rollouts) for problem in problems]
    existing = [problem.num_samples for problem in problems]
    if shown == existing:
        return ""
    if not sum(shown):
        return (
            f"Every one of {len(problems):,} problems is here with the votes of all its samples; "
            f"for the {sum(existing):,} samples themselves there is no room."
        )
    each = f"{min(shown)} to {max(shown)}" if min(shown) < max(shown) else f"{max(shown)}"
    most = max(existing)
    return (
        f"Every one of {len(problems):,} problems is here with the votes of all its samples; of "
        f"the samples themselves {sum(shown):,} of {sum(existing):,} are, {each} of up to {most} "
        "of each problem: a right one, one of the largest wrong answer, one without an answer, "
        "then of each answer in proportion to its votes."
    )


def _class_of(sample: Mapping[str, Any]) -> int | None:
    cluster = sample.get("cluster")
    return cluster if isinstance(cluster, int) else None


def _shown_sample(sample: Mapping[str, Any]) -> Sample:
    """Say a sample of an evaluation in the words of a rollout line."""
    rest = {key: value for key, value in sample.items() if key not in _NOT_SHOWN}
    return cut_completion({"rollout": sample.get("sample"), **rest})


def _prompt_text(prompt: Any) -> str:
    """Write a prompt, text or chat messages, as text."""
    if isinstance(prompt, str):
        return prompt
    messages = (
        [one for one in prompt if isinstance(one, Mapping)] if isinstance(prompt, list) else []
    )
    if len(messages) == 1:
        return _content_text(messages[0].get("content"))
    texts = [_content_text(one.get("content")) for one in messages]
    return "\n\n".join(f"{one.get('role')}: {t}" for one, t in zip(messages, texts, strict=True))


def _content_text(content: Any) -> str:
    """Write a message's content: text as it is, the place of an image as [image]."""
    if not isinstance(content, list):
        return str(content or "")
    parts = [part for part in content if isinstance(part, Mapping)]
    return "".join(
        str(part.get("text") or "") if part.get("type") == "text" else f"[{part.get('type')}]"
        for part in parts
    )


def one_line(text: str, length: int = TITLE_CHARACTERS) -> str:
    """Write text in one line, cut to a number of characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length] + "…"
