"""What a trained policy has to pass before its gain is more than sharpening.

Lowering the temperature and voting cost no training. So beside a trained policy's pass@1 stand what
the base model reaches without any: its greedy answer, its pass@1 at the best of a few temperatures,
and its majority at the number of votes that training used, on the same problems.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rl.evaluation.metrics.bootstrap import bootstrap_intervals
from rl.evaluation.metrics.comparison import paired_difference
from rl.evaluation.metrics.summary import MetricChoice, group_by_problem, problem_metrics
from rl.evaluation.records import SampleRecord
from rl.rollouts.engine import SamplingSettings

# Samples that cost no training: tried in place of the run's own temperature.
TEMPERATURES = (0.3, 0.6, 0.8)
NUM_SAMPLES = 4

Scores = dict[str, float]
Evaluate = Callable[[SamplingSettings, int], Sequence[SampleRecord]]


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What the base model reaches without training, problem by problem.

    Attributes:
        greedy: Problem id -> 1.0 if its greedy answer is right, else 0.0.
        cooled: Problem id -> pass@1 at `temperature`.
        temperature: The one with the highest mean of those tried, the run's own among them. Chosen
            on these very problems, which favours the control.
        majority: Problem id -> probability that the majority of `num_votes` samples is right.
        num_votes: Most completions that vote on a prompt in training.
    """

    greedy: Scores
    cooled: Scores
    temperature: float
    majority: Scores
    num_votes: int

    @property
    def named(self) -> dict[str, Scores]:
        """Control -> its scores, named for people."""
        return {
            "greedy": self.greedy,
            f"temperature {self.temperature:g}": self.cooled,
            f"majority of {self.num_votes}": self.majority,
        }


def measure_controls(
    evaluate: Evaluate,
    settings: SamplingSettings,
    num_votes: int,
    sampled: Sequence[SampleRecord] = (),
) -> Controls:
    """Measure the controls on a set of problems.

    Args:
        evaluate: Samples the problems with these settings, so many samples each, and grades them.
        settings: How the run samples.
        num_votes: Most completions that vote on a prompt in training.
        sampled: Graded samples of the base model with `settings`, if there are some already.

    Returns:
        The controls. Greedy decoding takes one sample, each other temperature `NUM_SAMPLES`.
    """
    if not sampled or len(next(iter(group_by_problem(sampled).values()))) < num_votes:
        sampled = evaluate(settings, num_votes)
    cooled = {settings.temperature: scores(sampled, "pass@1")}
    for temperature in TEMPERATURES:
        if temperature < settings.temperature:
            cooler = evaluate(replace(settings, temperature=temperature), NUM_SAMPLES)
            cooled[temperature] = scores(cooler, "pass@1")
    best = max(cooled, key=lambda temperature: mean(cooled[temperature]))
    return Controls(
        greedy=scores(evaluate(replace(settings, temperature=0.0), 1), "pass@1"),
        cooled=cooled[best],
        temperature=best,
        majority=scores(sampled, f"maj@{num_votes}"),
        num_votes=num_votes,
    )


def scores(samples: Sequence[SampleRecord], metric: str) -> Scores:
    """Return a metric such as pass@1 or maj@16 problem by problem, in the order of their ids."""
    k = int(metric.rpartition("@")[2])
    return {
        problem: problem_metrics(group, MetricChoice(ks=(k,)))[metric]
        for problem, group in sorted(group_by_problem(samples).items())
    }


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over problems, at least one."""
    return sum(values.values()) / len(values)


def compare_with_controls(trained: Scores, controls: Controls) -> dict[str, Any]:
    """Say by how much a trained policy's pass@1 passes each control, or falls short.

    Args:
        trained: Problem id -> pass@1, of the same problems as the controls'.
        controls: What the base model reaches.

    Returns:
        As summary.json holds it: `greedy`, `temperature`, `majority` (means of the controls),
        `best_temperature`, `num_votes`; `differences`: control -> mean of pass@1 minus control with
        its 95% interval, paired by problem; `verdict`: one sentence.
    """
    problems = list(controls.greedy)
    differences = {}
    for name, control in controls.named.items():
        a, b = [control[p] for p in problems], [trained[p] for p in problems]
        [interval] = bootstrap_intervals([[y - x] for x, y in zip(a, b, strict=True)])
        found = asdict(paired_difference(a, b, interval))
        differences[name] = {key: found[key] for key in ("difference", "ci_low", "ci_high")}
    return {
        "greedy": mean(controls.greedy),
        "temperature": mean(controls.cooled),
        "best_temperature": controls.temperature,
        "majority": mean(controls.majority),
        "num_votes": controls.num_votes,
        "differences": differences,
        "verdict": verdict(
            mean(trained), {n: mean(s) for n, s in controls.named.items()}, differences
        ),
    }


def verdict(
    trained: float, controls: Mapping[str, float], differences: Mapping[str, Mapping[str, float]]
) -> str:
    """Say in one sentence which of the base model's controls a trained pass@1 passes.

    A control is passed where the whole 95% interval of the difference lies above zero, fallen short
    of where it lies below; between them the two are level.

    Example:
        >>> verdict(0.8, {"greedy": 0.5}, {"greedy": {"ci_low": 0.2, "ci_high": 0.4}})
        "pass@1 0.800: above the base's greedy (0.500)."
    """
    kinds: dict[str, list[str]] = {"above": [], "level with": [], "below": []}
    for name, value in controls.items():
        interval = differences[name]
        kind = (
            "above"
            if interval["ci_low"] > 0
            else "below"
            if interval["ci_high"] < 0
            else "level with"
        )
        kinds[kind].append(f"{name} ({value:.3f})")
    parts = [f"{kind} the base's {', '.join(names)}" for kind, names in kinds.items() if names]
    return f"pass@1 {trained:.3f}: {'; '.join(parts)}."
