"""Two evaluations of the same problems, problem by problem: differences, tests, what was learned.

A problem counts as right if its majority answer is: of all n samples, the largest class of equal
answers is the label's (a tie for the first place is not right). From A to B a problem is then
`kept` (right, right), `learned` (wrong, right), `lost` (right, wrong) or `never` (wrong, wrong).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
from scipy.stats import binomtest, permutation_test

from rl.errors import InputError
from rl.evaluation.manifest import read_manifest
from rl.evaluation.metrics.bootstrap import bootstrap_intervals
from rl.evaluation.metrics.summary import (
    MetricChoice,
    default_ks,
    group_by_problem,
    metric_rows,
    resampled_metrics,
    standard_error,
)
from rl.evaluation.records import SampleRecord, read_samples

TRANSITIONS = ("kept", "learned", "lost", "never")
VERDICTS = ("beat", "are level with", "fall short of")
RULE = "a problem is right if the largest class of its samples' answers is the label's; no tie"
_NUM_PERMUTATIONS = 9_999
_SIGNIFICANT = 0.05
# Differences of equal counts are exactly zero; those of long sums are not.
_EQUAL = 1e-12


@dataclass(frozen=True, kw_only=True)
class SavedEvaluation:
    """An evaluation read from its folder.

    Attributes:
        name: The folder, as it was named.
        groups: Problem id -> its graded samples.
        manifest: Its manifest.json.
    """

    name: str
    groups: dict[str, list[SampleRecord]]
    manifest: dict[str, Any]

    @property
    def num_samples(self) -> int:
        """Samples per problem."""
        return len(next(iter(self.groups.values())))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric in A and B.

    Attributes:
        a: Mean over problems in A.
        b: The same in B.
        difference: b - a.
        ci_low: Lower end of the 95% interval of the difference, paired by problem.
        ci_high: Upper end.
        standard_error: Of the difference, between problems; None for one problem.
        num_better: Problems on which B is above A.
        num_worse: Problems on which B is below A.
        sign_test_p: Two-sided exact sign test of num_better against num_worse.
        permutation_p: Two-sided test that flips the sign of each problem's difference: exact up to
            13 problems that differ, 9,999 random flips (seeded) above.
    """

    a: float
    b: float
    difference: float
    ci_low: float
    ci_high: float
    standard_error: float | None
    num_better: int
    num_worse: int
    sign_test_p: float
    permutation_p: float


def read_evaluation(folder: Path) -> SavedEvaluation:
    """Read a finished evaluation.

    Raises:
        InputError: If the folder holds none, or it was not finished or not graded.
    """
    manifest = read_manifest(folder, "evaluation")
    groups = group_by_problem(read_samples(folder))
    short = [name for name, group in groups.items() if len(group) != manifest["num_samples"]]
    if short or len(groups) != manifest["num_problems"]:
        raise InputError(
            f"{folder}: got {len(groups) - len(short)} finished problems, expected "
            f"{manifest['num_problems']} with {manifest['num_samples']} samples each. Run the "
            "evaluation again; it continues."
        )
    return SavedEvaluation(name=str(folder), groups=groups, manifest=manifest)


def compare(
    a: SavedEvaluation, b: SavedEvaluation, ks: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Compare two evaluations of the same problems.

    Args:
        a: The one to start from, such as the base model's.
        b: The other, such as the trained model's.
        ks: Sizes k of pass@k and maj@k; None takes those for the smaller number of samples.
        seed: Seed of intervals and random permutations.

    Returns:
        What scripts/compare_evaluations.py writes: the two sides, `metrics` (name -> `Difference`),
        `transitions` (kept, learned, lost, never -> problem ids) with their `rule`, `anchor` (B's
        single answers less A's vote over all samples that both have, whatever `ks` says, with the
        `verdict` on it), `notes` on settings that differ.

    Raises:
        InputError: If the problems or their labels differ, or a k is above the smaller number of
            samples.
    """
    check_same_problems(a, b)
    budget = min(a.num_samples, b.num_samples)
    ks = sorted(set(ks or default_ks(budget)))
    if ks[0] < 1 or ks[-1] > budget:
        raise InputError(
            f"--k: got {ks}, expected sizes between 1 and {budget}, the samples per problem that "
            "both evaluations have. Lower k."
        )
    return {
        "a": _side(a),
        "b": _side(b),
        "num_problems": len(a.groups),
        "budget": budget,
        **_measured(a, b, ks, budget, seed),
        "rule": RULE,
        "notes": setting_notes(a, b),
    }


def _measured(
    a: SavedEvaluation, b: SavedEvaluation, ks: Sequence[int], budget: int, seed: int
) -> dict[str, Any]:
    groups = [list(a.groups.values()), [b.groups[name] for name in a.groups]]
    both = [MetricChoice.of((s for g in side for s in g), ks) for side in groups]
    anchored = sorted({1, *ks, budget})
    choice = both[0].shared_with(both[1], anchored)
    rows_a, rows_b = (metric_rows(side, choice) for side in groups)
    skipped = {f"avg@{side.num_samples}" for side in (a, b)}  # pass@1 under another name
    if a.num_samples != b.num_samples:
        skipped |= {"majority_ratio", "num_distinct_answers"}  # they grow and fall with n
    unasked = set(anchored) - set(ks)
    skipped |= {f"{name}{k}" for name in ("pass@", "maj@", "pass^") for k in unasked}
    every = list(rows_a[0])
    pairs = [(name, name) for name in every if name not in skipped]
    pairs.append((f"maj@{budget}", "pass@1"))  # the anchor: A's metric, B's metric
    columns_a, columns_b = ([every.index(pair[side]) for pair in pairs] for side in (0, 1))
    values_a = numpy.array([[*row.values()] for row in rows_a])[:, columns_a]
    values_b = numpy.array([[*row.values()] for row in rows_b])[:, columns_b]
    replicates_a = resampled_metrics(groups[0], choice, seed)[:, :, columns_a]
    replicates_b = resampled_metrics(groups[1], choice, seed + 1)[:, :, columns_b]
    intervals = bootstrap_intervals(values_b - values_a, replicates_b - replicates_a, seed=seed)
    *metrics, anchor = (
        paired_difference(values_a[:, i], values_b[:, i], intervals[i], seed)
        for i in range(len(pairs))
    )
    return {
        "anchor": {"k": budget, **asdict(anchor), "verdict": anchor_verdict(anchor)},
        "metrics": {name: asdict(one) for (name, _), one in zip(pairs, metrics, strict=False)},
        "transitions": transitions(a, b),
    }


def anchor_verdict(difference: Difference) -> str:
    """Say whether B's single answers beat A's vote, are level with it or fall short of it.

    They beat it, or fall short, only where the 95% interval of the difference excludes zero and the
    permutation test has p < 0.05.
    """
    if difference.permutation_p < _SIGNIFICANT:
        if difference.ci_low > 0:
            return VERDICTS[0]
        if difference.ci_high < 0:
            return VERDICTS[2]
    return VERDICTS[1]


def paired_difference(a: Any, b: Any, interval: tuple[float, float], seed: int = 0) -> Difference:
    """Test one metric's paired differences.

    Args:
        a: The metric of each problem in A, P of them.
        b: The same in B, in the same order.
        interval: The 95% interval of the mean difference.
        seed: Seed of random permutations.
    """
    differences = numpy.asarray(b, dtype=float) - numpy.asarray(a, dtype=float)
    differences[numpy.abs(differences) < _EQUAL] = 0.0
    num_better, num_worse = int((differences > 0).sum()), int((differences < 0).sum())
    return Difference(
        a=float(numpy.mean(a)),
        b=float(numpy.mean(b)),
        difference=float(differences.mean()),
        ci_low=interval[0],
        ci_high=interval[1],
        standard_error=standard_error(differences.tolist()),
        num_better=num_better,
        num_worse=num_worse,
        sign_test_p=sign_test(num_better, num_worse),
        permutation_p=sign_flip_test(differences, seed),
    )


def sign_test(num_better: int, num_worse: int) -> float:
    """Return the two-sided p of the exact sign test; 1.0 where nothing differs.

    Example:
        Of four problems that differ all are better: 2 * (1/2)**4.
        >>> sign_test(4, 0), sign_test(0, 0)
        (0.125, 1.0)
    """
    total = num_better + num_worse
    return float(binomtest(num_better, total).pvalue) if total else 1.0


def sign_flip_test(differences: Any, seed: int = 0) -> float:
    """Return the two-sided p of the mean difference when each sign is a coin's.

    Exact up to 13 differences that are not zero; above, seeded random flips.
    """
    nonzero = numpy.asarray([d for d in differences if d != 0], dtype=float)
    if len(nonzero) == 0:
        return 1.0
    if len(nonzero) == 1:
        return 1.0  # either sign is as far from zero
    result = permutation_test(
        (nonzero,),
        numpy.mean,
        permutation_type="samples",
        n_resamples=_NUM_PERMUTATIONS,
        vectorized=True,
        axis=0,
        rng=numpy.random.default_rng(seed),
    )
    return float(result.pvalue)


class Graded(Protocol):
    """A sample as far as the rule of transitions looks at it."""

    @property
    def cluster(self) -> int | None:
        """Its answer's class, None without an answer."""
        ...

    @property
    def correct(self) -> bool:
        """Whether its answer is the label's."""
        ...


def transitions(a: SavedEvaluation, b: SavedEvaluation) -> dict[str, list[str]]:
    """Sort the problems by whether A's and B's majority answers are right."""
    found: dict[str, list[str]] = {name: [] for name in TRANSITIONS}
    for problem, group in a.groups.items():
        pair = majority_is_right(group), majority_is_right(b.groups[problem])
        found[transition(*pair)].append(problem)
    return found


def transition(was_right: bool, is_right: bool) -> str:
    """Name what became of a problem, one of `TRANSITIONS`.

    Example:
        >>> transition(False, True), transition(False, False)
        ('learned', 'never')
    """
    names = {(True, True): "kept", (False, True): "learned", (True, False): "lost"}
    return names.get((was_right, is_right), "never")


def majority_is_right(samples: Sequence[Graded]) -> bool:
    """Tell whether the largest class of answers is the label's, alone in the first place."""
    votes: dict[int, int] = {}
    for sample in samples:
        if sample.cluster is not None:
            votes[sample.cluster] = votes.get(sample.cluster, 0) + 1
    first = [cluster for cluster, count in votes.items() if count == max(votes.values())]
    return len(first) == 1 and any(s.correct for s in samples if s.cluster == first[0])


def check_same_problems(a: SavedEvaluation, b: SavedEvaluation) -> None:
    """Check that both evaluated the same problems with the same labels.

    Raises:
        InputError: If they did not; the message names the first problem that differs.
    """
    odd = sorted(a.groups.keys() ^ b.groups.keys())
    if odd:
        missing = b.name if odd[0] in a.groups else a.name
        raise InputError(
            f"problems: got {len(odd)} that are in one evaluation only ({odd[0]!r} is not in "
            f"{missing}), expected the same problems in both. Evaluate both on one benchmark."
        )
    for name, group in a.groups.items():
        labels = group[0].label, b.groups[name][0].label
        if labels[0] != labels[1]:
            raise InputError(
                f"label of problem {name!r}: got {labels[1]!r} in {b.name}, expected "
                f"{labels[0]!r} as in {a.name}. Evaluate both on one benchmark."
            )


def setting_notes(a: SavedEvaluation, b: SavedEvaluation) -> list[str]:
    """Say which settings differ, apart from the model's: a difference may be theirs."""
    notes = []
    of_model = {"model", "model_hash", "model_revision", "tokenizer_hash", "scored_file_sha256"}
    sides = a.manifest.get("settings", {}), b.manifest.get("settings", {})
    for name in sorted((sides[0].keys() | sides[1].keys()) - of_model):
        values = [side.get(name) for side in sides]
        if values[0] != values[1]:
            notes.append(f"{name} differs: {values[0]} and {values[1]}")
    if a.num_samples != b.num_samples:
        notes.append(
            f"samples per problem differ: {a.num_samples} and {b.num_samples}; metrics that do not "
            "depend on n are compared"
        )
    graders = {sample.grader for e in (a, b) for group in e.groups.values() for sample in group}
    if len(graders) > 1:
        notes.append("graded by different versions of the grader: rescore both")
    return notes


def _side(evaluation: SavedEvaluation) -> dict[str, Any]:
    settings = evaluation.manifest.get("settings", {})
    overlap = evaluation.manifest.get("train_overlap") or {}
    return {
        "folder": evaluation.name,
        "model": settings.get("model"),
        "num_samples": evaluation.num_samples,
        "trained_on": overlap.get("label"),
    }
