"""Sample labelled problems with any engine, grade the samples and estimate the metrics."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from rl.answers import DEFAULT_METHODS
from rl.data.image_inputs import read_prompt
from rl.data.prompt_lengths import cut_middle
from rl.data.prompts import Prompt, prompt_id, render_prompt
from rl.data.saved_images import SavedImages
from rl.errors import InputError
from rl.evaluation.grading import grade
from rl.evaluation.manifest import read_manifest, stamp_grader
from rl.evaluation.metrics.summary import check_ks, default_ks, group_by_problem, summarize
from rl.evaluation.problems.labelled import Problem
from rl.evaluation.records import (
    Estimate,
    SampleRecord,
    append_samples,
    read_samples,
    write_problems,
    write_samples,
    write_summary,
)
from rl.rollouts.engine import RolloutEngine, derive_seed, images_argument
from rl.rollouts.openai_engine import TextEngine
from rl.rollouts.stop_strings import completion_texts
from rl.watchdog import deadline

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.data.image_inputs import ImageInputs


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: Metric -> mean over problems with its interval.
        samples: Graded samples, those of one problem together and in order.
    """

    metrics: dict[str, Estimate]
    samples: list[SampleRecord]


def evaluate_problems(
    engine: RolloutEngine | TextEngine,
    tokenizer: "PreTrainedTokenizerBase | None",
    problems: Sequence[Problem],
    *,
    num_samples: int,
    ks: Sequence[int] | None = None,
    seed: int = 0,
    methods: Sequence[str] = DEFAULT_METHODS,
    batch_size: int = 256,
    output_dir: Path | None = None,
    show_progress: bool = False,
    thresholds: Sequence[float] = (),
    must_close_thought: bool = False,
    max_sampling_seconds: float = 0.0,
    max_prompt_length: int | None = None,
    image_inputs: "ImageInputs | None" = None,
) -> EvaluationResult:
    """Sample every problem and grade the samples against the labels.

    A problem's seed is a hash of `seed` and its id, so its samples do not depend on the other
    problems, and 64 samples begin with the 16 of a shorter evaluation.

    Args:
        engine: Samples the completions; its settings are part of the result.
        tokenizer: The policy's tokenizer; None for an engine that takes text.
        problems: At least one; ids unique.
        num_samples: Samples per problem, n.
        ks: Sizes k of pass@k and maj@k, in [1, n]; None takes `default_ks(n)`.
        seed: Seed of the evaluation.
        methods: Where an answer is looked for; a multiple choice and a rule have their own ways.
        batch_size: Completions asked of the engine at a time, rounded down to whole problems; an
            engine that takes text gets everything at once.
        output_dir: Where samples.jsonl grows and summary.json is written; samples there are kept
            (`open_evaluation` checks that they fit). None writes nothing.
        show_progress: Whether to show a bar.
        thresholds: Shares t of G-Pass@k_t, in (0, 1]; none leaves it out.
        must_close_thought: Whether a completion without `</think>` holds no answer; it never does
            where the prompt ends with `<think>`.
        max_sampling_seconds: Most seconds of a call that samples from tokens, then the process ends
            (`rl.watchdog.deadline`); 0: any.
        max_prompt_length: Most tokens of a prompt; a longer one is cut (`cut_middle`). None: any.
            Not for an engine that takes text, and not for prompts with images.
        image_inputs: Reads images, for an engine that takes tokens; None where there are none.

    Raises:
        InputError: If a k is out of range.
        ValueError: If there are no problems.
    """
    ks = check_ks(default_ks(num_samples) if ks is None else ks, num_samples)
    limits = (max_sampling_seconds, max_prompt_length)
    request = _Request(num_samples, seed, batch_size, must_close_thought, *limits, image_inputs)
    saved = _opened(output_dir, problems, methods) if output_dir else {}
    _sample_missing(engine, tokenizer, problems, request, saved, methods, output_dir, show_progress)
    samples = [sample for problem in problems for sample in saved[problem.id]]
    metrics = summarize(samples, ks, thresholds)
    if output_dir:
        write_samples(output_dir, samples)  # New samples may have changed the classes of old ones.
        write_summary(output_dir, metrics)
    return EvaluationResult(metrics=metrics, samples=samples)


def problem_line(problem: Problem) -> dict[str, Any]:
    """Describe a problem as problems.jsonl does."""
    return {
        "problem_id": problem.id,
        "prompt": problem.prompt,
        "question": problem.question,
        "label": problem.label,
        **({"images": list(problem.image_digests)} if problem.images else {}),
    }


class _Request(NamedTuple):
    """What `sample_problems` is asked for, the same for all problems."""

    num_samples: int
    seed: int
    batch_size: int = 256
    must_close_thought: bool = False
    max_sampling_seconds: float = 0.0
    max_prompt_length: int | None = None
    image_inputs: "ImageInputs | None" = None
    first_sample: int = 0


def _sample_missing(
    engine: RolloutEngine | TextEngine,
    tokenizer: "PreTrainedTokenizerBase | None",
    problems: Sequence[Problem],
    request: _Request,
    saved: dict[str, list[SampleRecord]],
    methods: Sequence[str],
    output_dir: Path | None,
    show_progress: bool,
) -> None:
    """Add the samples that problems lack to `saved`, graded, and to the folder."""
    held = {problem.id: _num_first(saved.get(problem.id, [])) for problem in problems}
    missing = [problem for problem in problems if held[problem.id] < request.num_samples]
    num_missing = sum(request.num_samples - held[problem.id] for problem in missing)
    with tqdm(
        desc="evaluating", total=num_missing, unit="sample", disable=not show_progress
    ) as bar:
        for first, alike in groupby(missing, key=lambda problem: held[problem.id]):
            rest = request._replace(num_samples=request.num_samples - first, first_sample=first)
            for group in sample_problems(engine, tokenizer, list(alike), **rest._asdict()):
                name = group[0].problem_id
                known = {sample.sample: sample for sample in saved.get(name, [])}
                new = {sample.sample: sample for sample in group if sample.sample not in known}
                saved[name] = grade([s for _, s in sorted((known | new).items())], methods)
                if output_dir:
                    append_samples(output_dir, [s for s in saved[name] if s.sample in new])
                bar.update(len(group))


def _num_first(samples: Sequence[SampleRecord]) -> int:
    """Count the samples 0, 1, ... without a gap."""
    numbers = {sample.sample for sample in samples}
    return next(i for i in range(len(numbers) + 1) if i not in numbers)


def _opened(
    output_dir: Path, problems: Sequence[Problem], methods: Sequence[str]
) -> dict[str, list[SampleRecord]]:
    """Write what is asked, with its images, and return the samples that are there, graded."""
    write_problems(output_dir, map(problem_line, problems))
    SavedImages(output_dir).save(image for problem in problems for image in problem.images)
    groups = group_by_problem(read_samples(output_dir))
    return {name: grade(group, methods) for name, group in groups.items()}


def rescore(
    output_dir: Path,
    *,
    methods: Sequence[str] | None = None,
    show_progress: bool = False,
    ks: Sequence[int] | None = None,
    thresholds: Sequence[float] = (),
) -> EvaluationResult:
    """Extract and grade the saved samples of an evaluation again; needs no model.

    Rewrites samples.jsonl and summary.json, and the grader in manifest.json. Problems a killed
    evaluation left unfinished are graded but do not enter the metrics.

    Args:
        output_dir: Folder of an evaluation.
        methods: Where an answer is looked for; a multiple choice and a rule have their own ways.
            None takes the manifest's.
        show_progress: Whether to show a bar.
        ks: Sizes k of pass@k and maj@k, in [1, n]; None takes the manifest's.
        thresholds: Shares t of G-Pass@k_t, in (0, 1].

    Raises:
        InputError: If the folder holds no evaluation or no finished problem, or a k is out of
            range.
    """
    manifest = read_manifest(output_dir, "--rescore")
    ks = check_ks(ks or manifest["k"], manifest["num_samples"])
    looked_for = methods or manifest.get("answer_methods", DEFAULT_METHODS)
    groups = group_by_problem(read_samples(output_dir)).values()
    bar = tqdm(groups, "grading", unit="problem", disable=not show_progress)
    graded = [grade(group, looked_for) for group in bar]
    finished = [s for group in graded if len(group) == manifest["num_samples"] for s in group]
    if not finished:
        raise InputError(
            f"--rescore: got {output_dir} with no problem of {manifest['num_samples']} samples, "
            "expected at least one. Run the evaluation again without --rescore to finish it."
        )
    metrics = summarize(finished, ks, thresholds)
    write_samples(output_dir, [sample for group in graded for sample in group])
    write_summary(output_dir, metrics)
    stamp_grader(output_dir, manifest, ks, looked_for)
    return EvaluationResult(metrics=metrics, samples=finished)


def sample_problems(
    engine: RolloutEngine | TextEngine,
    tokenizer: "PreTrainedTokenizerBase | None",
    problems: Sequence[Problem],
    **asked: Any,
) -> Iterator[list[SampleRecord]]:
    """Yield each problem's samples, ungraded and in order, problems as they are finished.

    Args:
        engine: As for `evaluate_problems`.
        tokenizer: Likewise.
        problems: Likewise.
        asked: `num_samples`, `seed` and `first_sample`, the number of the first one (0); and, as
            for `evaluate_problems`, `batch_size`, `must_close_thought`, `max_sampling_seconds`,
            `max_prompt_length` and `image_inputs`.
    """
    request = _Request(**asked)
    if isinstance(engine, TextEngine):
        yield from _sample_text(engine, problems, request)
        return
    assert tokenizer is not None, "an engine that takes tokens needs a tokenizer"
    size = max(1, request.batch_size // request.num_samples)
    for start in range(0, len(problems), size):
        yield from _sample_tokens(engine, tokenizer, problems[start : start + size], request)


def _sample_tokens(
    engine: RolloutEngine,
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    request: _Request,
) -> Iterator[list[SampleRecord]]:
    seeds = [derive_seed(request.seed, problem.id) for problem in problems]
    images = [problem.images for problem in problems]
    whole_ids = [
        read_prompt(problem.prompt, problem.images, tokenizer, request.image_inputs)
        for problem in problems
    ]
    prompt_ids = [cut_middle(ids, request.max_prompt_length) for ids in whole_ids]
    limit = request.max_sampling_seconds
    with deadline("sampling of an evaluation", limit, "max_sampling_seconds"):
        groups = engine.generate(
            prompt_ids, request.num_samples, seeds, request.first_sample, **images_argument(images)
        )
    is_cut = [len(cut) < len(ids) for cut, ids in zip(prompt_ids, whole_ids, strict=True)]
    for problem, problem_seed, group, cut in zip(problems, seeds, groups, is_cut, strict=True):
        rendered = render_prompt(problem.prompt, tokenizer)
        texts = completion_texts(group, tokenizer, engine.settings.stop_strings)
        yield [
            SampleRecord(
                sample=i,
                seed=problem_seed,
                prompt_id=prompt_id(rendered, problem.image_digests),
                completion=text,
                num_tokens=len(sample.completion_ids),
                truncated=sample.truncated,
                **_of_problem(problem),
                prompt_cut=cut,
                must_close_thought=request.must_close_thought or opens_thought(rendered),
                finish_reason="length" if sample.truncated else "stop",
            )
            for i, (sample, text) in enumerate(
                zip(group, texts, strict=True), start=request.first_sample
            )
        ]


def _sample_text(
    engine: TextEngine, problems: Sequence[Problem], request: _Request
) -> Iterator[list[SampleRecord]]:
    seeds = [derive_seed(request.seed, problem.id) for problem in problems]
    prompts = [problem.prompt for problem in problems]
    images = images_argument([problem.images for problem in problems])
    for position, group in engine.complete(
        prompts, request.num_samples, seeds, request.first_sample, **images
    ):
        problem = problems[position]
        yield [
            SampleRecord(
                sample=i,
                seed=seeds[position],
                prompt_id=unrendered_prompt_id(problem.prompt, problem.image_digests),
                completion=sample.completion,
                num_tokens=sample.num_tokens,
                truncated=sample.finish_reason == "length",
                **_of_problem(problem),
                must_close_thought=request.must_close_thought or opens_thought(problem.prompt),
                finish_reason=sample.finish_reason,
                latency_seconds=sample.latency_seconds,
            )
            for i, sample in sorted(group.items())
        ]


def _of_problem(problem: Problem) -> dict[str, Any]:
    """Return the fields of a record that its problem decides."""
    return {
        "problem_id": problem.id,
        "label": problem.label,
        "choices": problem.choices,
        "aliases": problem.aliases,
        "rule": problem.rule,
        "strata": dict(problem.strata),
        "images": problem.image_digests,
    }


def opens_thought(prompt: Prompt) -> bool:
    """Tell whether a prompt ends with `<think>`, so that the completion starts inside a thought."""
    return isinstance(prompt, str) and prompt.rstrip().endswith("<think>")


def unrendered_prompt_id(prompt: Prompt, image_digests: Sequence[str] = ()) -> str:
    """Hash a prompt that an endpoint renders: text as `prompt_id` does, messages as JSON."""
    return prompt_id(prompt if isinstance(prompt, str) else json.dumps(prompt), image_digests)
