"""Sample labelled problems with any rollout engine, grade the samples and estimate the metrics."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from rl.answers import cluster_answers, extract_answer, same_answer
from rl.data import prompt_id, render_prompt, tokenize_prompt
from rl.errors import InputError
from rl.evaluation.manifest import read_manifest
from rl.evaluation.metrics import avg_at_n, bootstrap_intervals, maj_at_k, pass_at_k
from rl.evaluation.problems import Problem
from rl.evaluation.records import (
    Estimate,
    SampleRecord,
    append_samples,
    read_samples,
    write_samples,
    write_summary,
)
from rl.rollouts.engine import RolloutEngine, derive_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Extract = Callable[[str], str | None]


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
    engine: RolloutEngine,
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    *,
    num_samples: int,
    ks: Sequence[int] | None = None,
    seed: int = 0,
    extract: Extract = extract_answer,
    batch_size: int = 256,
    output_dir: Path | None = None,
    show_progress: bool = False,
) -> EvaluationResult:
    """Sample every problem and grade the samples against the labels.

    A problem's seed is a hash of `seed` and its id, so its samples do not depend on the other
    problems, and 64 samples begin with the 16 of a shorter evaluation.

    Args:
        engine: Samples the completions; its settings are part of the result.
        tokenizer: The policy's tokenizer.
        problems: At least one; ids unique.
        num_samples: Samples per problem, n.
        ks: Sizes k of pass@k and maj@k, in [1, n]; None takes `default_ks(n)`.
        seed: Seed of the evaluation.
        extract: Finds the answer in a completion.
        batch_size: Completions asked of the engine at a time, rounded down to whole problems.
        output_dir: Where samples.jsonl grows with every batch and summary.json is written; samples
            there are kept (`open_evaluation` checks that they fit). None writes nothing.
        show_progress: Whether to show a bar.

    Raises:
        InputError: If a k is out of range.
        ValueError: If there are no problems.
    """
    ks = check_ks(default_ks(num_samples) if ks is None else ks, num_samples)
    saved = _saved_groups(output_dir, extract) if output_dir else {}
    missing = [p for p in problems if len(saved.get(p.id, [])) < num_samples]
    num_problems = max(1, batch_size // num_samples)
    with tqdm(
        desc="evaluating",
        total=len(missing) * num_samples,
        unit="sample",
        disable=not show_progress,
    ) as bar:
        for start in range(0, len(missing), num_problems):
            batch = missing[start : start + num_problems]
            sampled = sample_problems(engine, tokenizer, batch, num_samples=num_samples, seed=seed)
            for name, group in group_by_problem(sampled).items():
                known = {sample.sample: sample for sample in saved.get(name, [])}
                saved[name] = grade([known.get(s.sample, s) for s in group], extract)
                if output_dir:
                    append_samples(output_dir, [s for s in saved[name] if s.sample not in known])
            bar.update(len(sampled))
    samples = [sample for problem in problems for sample in saved[problem.id]]
    metrics = summarize(samples, ks)
    if output_dir:
        write_samples(output_dir, samples)  # New samples may have changed the classes of old ones.
        write_summary(output_dir, metrics)
    return EvaluationResult(metrics=metrics, samples=samples)


def _saved_groups(output_dir: Path, extract: Extract) -> dict[str, list[SampleRecord]]:
    groups = group_by_problem(read_samples(output_dir))
    return {name: grade(group, extract) for name, group in groups.items()}


def rescore(
    output_dir: Path, *, extract: Extract = extract_answer, show_progress: bool = False
) -> EvaluationResult:
    """Extract and grade the saved samples of an evaluation again; needs no model.

    Rewrites samples.jsonl and summary.json. Problems a killed evaluation left unfinished are graded
    but do not enter the metrics.

    Args:
        output_dir: Folder of an evaluation.
        extract: Finds the answer in a completion.
        show_progress: Whether to show a bar.

    Raises:
        InputError: If the folder holds no evaluation or no finished problem.
    """
    manifest = read_manifest(output_dir)
    groups = group_by_problem(read_samples(output_dir)).values()
    bar = tqdm(groups, "grading", unit="problem", disable=not show_progress)
    graded = [grade(group, extract) for group in bar]
    finished = [s for group in graded if len(group) == manifest["num_samples"] for s in group]
    if not finished:
        raise InputError(
            f"output_dir: got {output_dir} with no problem of {manifest['num_samples']} samples, "
            "expected at least one. Run the evaluation again without --rescore to finish it."
        )
    metrics = summarize(finished, manifest["k"])
    write_samples(output_dir, [sample for group in graded for sample in group])
    write_summary(output_dir, metrics)
    return EvaluationResult(metrics=metrics, samples=finished)


def sample_problems(
    engine: RolloutEngine,
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    *,
    num_samples: int,
    seed: int,
) -> list[SampleRecord]:
    """Sample completions of problems, ungraded, those of one problem together and in order."""
    seeds = [derive_seed(seed, problem.id) for problem in problems]
    prompt_ids = [tokenize_prompt(problem.prompt, tokenizer) for problem in problems]
    groups = engine.generate(prompt_ids, num_samples, seeds)
    return [
        SampleRecord(
            problem_id=problem.id,
            sample=i,
            seed=problem_seed,
            prompt_id=prompt_id(render_prompt(problem.prompt, tokenizer)),
            completion=str(tokenizer.decode(sample.completion_ids, skip_special_tokens=True)),
            num_tokens=len(sample.completion_ids),
            truncated=sample.truncated,
            label=problem.label,
        )
        for problem, problem_seed, group in zip(problems, seeds, groups, strict=True)
        for i, sample in enumerate(group)
    ]


def grade(samples: Sequence[SampleRecord], extract: Extract = extract_answer) -> list[SampleRecord]:
    """Fill in answer, cluster and correct of one problem's samples.

    The first answer of each class is compared with the label, once; its verdict holds for the
    class. Without an answer a sample is wrong.

    Args:
        samples: All samples of one problem.
        extract: Finds the answer in a completion.

    Returns:
        New records in the same order.
    """
    answers = [extract(sample.completion) for sample in samples]
    clusters = cluster_answers(answers)
    verdicts: dict[int | None, bool] = {None: False}
    for sample, answer, cluster in zip(samples, answers, clusters, strict=True):
        if cluster not in verdicts:
            verdicts[cluster] = same_answer(answer, sample.label)
    return [
        replace(sample, answer=answer, cluster=cluster, correct=verdicts[cluster])
        for sample, answer, cluster in zip(samples, answers, clusters, strict=True)
    ]


def summarize(samples: Iterable[SampleRecord], ks: Sequence[int]) -> dict[str, Estimate]:
    """Average the metrics over problems, with a 95% bootstrap interval over problems.

    Args:
        samples: Graded samples, the same number n of each problem.
        ks: Sizes k of pass@k and maj@k, in [1, n].

    Returns:
        `pass@k` and `maj@k` for each k, `avg@n`, and what needs no label: `mean_length` (tokens),
        `no_answer_frac`, `truncated_frac`, `majority_ratio` (samples in the largest class / n) and
        `num_distinct_answers` (classes).

    Raises:
        ValueError: If there are no samples or problems differ in the number of samples.
    """
    groups = list(group_by_problem(samples).values())
    if len({len(group) for group in groups}) != 1:
        raise ValueError(
            f"samples per problem: got {sorted({len(group) for group in groups})}, expected one "
            "number. Finish sampling or leave unfinished problems out."
        )
    rows = [problem_metrics(group, ks) for group in groups]
    intervals = bootstrap_intervals([list(row.values()) for row in rows])
    return {
        name: Estimate(
            value=sum(row[name] for row in rows) / len(rows), ci_low=low, ci_high=high, n=len(rows)
        )
        for name, (low, high) in zip(rows[0], intervals, strict=True)
    }


def problem_metrics(samples: Sequence[SampleRecord], ks: Sequence[int]) -> dict[str, float]:
    """Return one problem's metrics, named as `summarize` names them."""
    num_samples = len(samples)
    num_correct = sum(sample.correct for sample in samples)
    classes = Counter(sample.cluster for sample in samples if sample.cluster is not None)
    counts = list(classes.values())
    correct = {sample.cluster for sample in samples if sample.correct}
    correct_classes = [i for i, cluster in enumerate(classes) if cluster in correct]
    num_abstained = num_samples - sum(counts)
    return {
        **{f"pass@{k}": pass_at_k(num_samples, num_correct, k) for k in ks},
        **{f"maj@{k}": maj_at_k(counts, correct_classes, num_abstained, k) for k in ks},
        f"avg@{num_samples}": avg_at_n(num_samples, num_correct),
        "mean_length": sum(sample.num_tokens for sample in samples) / num_samples,
        "no_answer_frac": num_abstained / num_samples,
        "truncated_frac": sum(sample.truncated for sample in samples) / num_samples,
        "majority_ratio": max(counts, default=0) / num_samples,
        "num_distinct_answers": float(len(counts)),
    }


def group_by_problem(samples: Iterable[SampleRecord]) -> dict[str, list[SampleRecord]]:
    """Group samples by problem, problems in order of first appearance, samples by their number."""
    groups: dict[str, list[SampleRecord]] = {}
    for sample in samples:
        groups.setdefault(sample.problem_id, []).append(sample)
    return {name: sorted(group, key=lambda sample: sample.sample) for name, group in groups.items()}


def default_ks(num_samples: int) -> list[int]:
    """Return the powers of four up to n, and n.

    Example:
        >>> default_ks(16), default_ks(10)
        ([1, 4, 16], [1, 4, 10])
    """
    powers = [4**i for i in range(num_samples.bit_length()) if 4**i <= num_samples]
    return sorted({*powers, num_samples})


def check_ks(ks: Sequence[int], num_samples: int) -> list[int]:
    """Return the sizes k in ascending order, each once.

    Raises:
        InputError: If num_samples < 1 or a k is not in [1, num_samples].
    """
    if num_samples < 1:
        raise InputError(f"num_samples: got {num_samples}, expected at least 1. Raise num_samples.")
    for k in ks:
        if not 1 <= k <= num_samples:
            raise InputError(
                f"k: got {k}, expected between 1 and num_samples ({num_samples}). Lower k or raise "
                "num_samples."
            )
    return sorted(set(ks))
