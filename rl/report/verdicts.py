"""What a report says of a run first: whether it worked, whether it is healthy, what it cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rl.report.costs_and_settings import spent
from rl.report.curves import is_drawable
from rl.report.folders import ReportedRun
from rl.report.results import ResultRow, Tone, controls_by_benchmark
from rl.report.streams import stream_sentence


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One line about a run.

    Attributes:
        about: "Result", "Health" or "Cost".
        text: One or two sentences.
        tone: Whether it is good news.
    """

    about: str
    text: str
    tone: Tone = "plain"


def statements(run: ReportedRun, rows: Sequence[ResultRow]) -> list[Statement]:
    """Return what is to be said of a training run first; nothing of an evaluation.

    Args:
        run: The run.
        rows: Its result rows.
    """
    if run.kind == "evaluation":
        return []
    said = [*_results(run, rows), _stream(run), _health(run), _cost(run)]
    return [statement for statement in said if statement is not None]


def _results(run: ReportedRun, rows: Sequence[ResultRow]) -> list[Statement]:
    after = {row.benchmark: row for row in rows if row.when == "after"}
    controls = controls_by_benchmark(run)
    judged = {
        benchmark: differences
        for benchmark, row in after.items()
        if "pass@1" in row.values and (differences := _differences(controls.get(benchmark, {})))
    }
    if len(judged) > 1:
        return [_over_benchmarks(judged, after)]
    for benchmark, differences in judged.items():
        text, tone = judge(differences)
        against = ", ".join(
            f"{of['difference']:+.3f} ({of['ci_low']:+.3f} to {of['ci_high']:+.3f}) against the "
            f"base's {name}"
            for name, of in differences.items()
        )
        text = f"{text} On {benchmark}, {_gain([after[benchmark]])}: {against}."
        return [Statement(about="Result", text=text, tone=tone)]
    lent = [row for row in after.values() if row.base_of and row.base and "pass@1" in row.values]
    if lent:
        return [Statement(about="Result", text=_beside_lent(lent))]
    return [Statement(about="Result", text=_without_controls(after))] if run.is_finished else []


def _stream(run: ReportedRun) -> Statement | None:
    text = stream_sentence(run.summary.get("continual") or {})
    return None if text is None else Statement(about="Result", text=text)


def _gain(rows: Sequence[ResultRow]) -> str:
    """Say what rows reach, and what their base did where all know it, by the mean over them."""
    reached = fmean(row.values["pass@1"].value for row in rows)
    starts = [row.start["pass@1"].value for row in rows if "pass@1" in row.start]
    base = f" (base {fmean(starts):.3f})" if len(starts) == len(rows) else ""
    return f"{'pass@1' if len(rows) == 1 else 'mean pass@1'} {reached:.3f}{base}"


def _beside_lent(rows: Sequence[ResultRow]) -> str:
    """Compare with a base that another run measured: means only, since nothing is paired."""
    behind = [
        row.benchmark
        for row in rows
        if any(row.values["pass@1"].value <= of.value.value for of in row.base.values())
    ]
    controls = _listed(name for row in rows for name in row.base)
    passed = f"above the base's {controls}"
    if len(rows) > 1:
        passed += f" on {len(rows) - len(behind)} of {len(rows)} benchmarks"
        passed += f", not on {_listed(behind)}" if 0 < len(behind) < len(rows) else ""
    elif behind:
        passed = f"not above all of the base's {controls}"
    return (
        f"{_begin(_gain(rows))}, {passed}. {_listed(row.base_of for row in rows)} measured "
        "the base: values only, since nothing is paired by problem."
    )


def _listed(names: Iterable[str]) -> str:
    """Write different names as a list: a, b and c."""
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last


def judge(differences: Mapping[str, Mapping[str, float]]) -> tuple[str, Tone]:
    """Say in a sentence whether a trained pass@1 is beyond what the base model reaches untrained.

    Args:
        differences: Control -> trained minus control, with `ci_low` and `ci_high`; at least one.

    Example:
        >>> judge({"greedy": {"ci_low": 0.1, "ci_high": 0.2}})
        ('It learned: beyond every control.', 'good')
        >>> judge({"greedy": {"ci_low": -0.1, "ci_high": 0.2}})
        ("Not shown to be more than sharpening: level with the base's greedy.", 'plain')
        >>> judge({"greedy": {"ci_low": -0.2, "ci_high": -0.1}})
        ("Not worth its training: below the base's greedy.", 'bad')
    """
    below = [name for name, of in differences.items() if of["ci_high"] < 0]
    level = [name for name, of in differences.items() if of["ci_low"] <= 0 <= of["ci_high"]]
    if below:
        return f"Not worth its training: below the base's {' and '.join(below)}.", "bad"
    if level:
        names = " and ".join(level)
        return f"Not shown to be more than sharpening: level with the base's {names}.", "plain"
    return "It learned: beyond every control.", "good"


def _over_benchmarks(
    judged: Mapping[str, Mapping[str, Mapping[str, float]]], after: Mapping[str, ResultRow]
) -> Statement:
    """Sum several benchmarks up; their differences stand in the table of results."""
    by_tone: dict[Tone, list[str]] = {"good": [], "plain": [], "bad": []}
    for benchmark, differences in judged.items():
        by_tone[judge(differences)[1]].append(benchmark)
    words: dict[Tone, str] = {
        "good": "it learned, beyond every control, on",
        "plain": "not shown to be more than sharpening on",
        "bad": "not worth its training, below a control, on",
    }
    tones: list[Tone] = [tone for tone, names in by_tone.items() if names]
    told = []
    for tone in tones:
        of = "" if told else f" of {len(judged)} benchmarks"
        which = "" if tone == "good" else f" ({', '.join(by_tone[tone])})"
        told.append(f"{words[tone]} {len(by_tone[tone])}{of}{which}")
    controls = _listed(name.split()[0] for of in judged.values() for name in of)
    gain = _gain([after[benchmark] for benchmark in judged])
    text = f"{_begin('; '.join(told))}. {_begin(gain)}, beside the base's {controls}."
    return Statement(about="Result", text=text, tone=tones[0] if len(tones) == 1 else "plain")


def _begin(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _differences(controls: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    found = controls.get("differences")
    return {
        str(name): of
        for name, of in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(of, Mapping)
        and all(is_drawable(of.get(key)) for key in ("difference", "ci_low", "ci_high"))
    }


def _without_controls(after: Mapping[str, ResultRow]) -> str:
    """Say what can be said of a run whose gain stands beside no control."""
    for name in ("pass@1", "majority_ratio"):
        rows = [row for row in after.values() if name in row.values]
        if rows:
            reached = fmean(row.values[name].value for row in rows)
            starts = [row.start[name].value for row in rows if name in row.start]
            change = f"{fmean(starts):.3f} → " if len(starts) == len(rows) else ""
            mean = f"mean {name} over {len(rows)} benchmarks" if len(rows) > 1 else ""
            what = mean or f"{name if name == 'pass@1' else 'agreement'} on {rows[0].benchmark}"
            text = f"{what}: {change}{reached:.3f}. "
            if name == "majority_ratio":
                return text + "No labels: whether answers are right is not known."
            return text + "The run measured no controls: it may be sharpening only." + _votes(rows)
    return "Nothing was evaluated: whether it worked is not known."


def _votes(rows: Sequence[ResultRow]) -> str:
    """Compare with the votes of the base model, if they are known: values only."""
    votes = [row.base["vote"] for row in rows if "vote" in row.base]
    if not votes or len(votes) < len(rows):
        return ""
    reached = fmean(row.values["pass@1"].value for row in rows)
    vote = fmean(of.value.value for of in votes)
    beyond = "less" if vote < reached else "no less"
    return f" The base's vote ({_listed(of.what for of in votes)}) reached {beyond}: {vote:.3f}."


def _health(run: ReportedRun) -> Statement | None:
    verdict = run.summary.get("verdict")
    if not isinstance(verdict, str):
        return None
    is_healthy = verdict.startswith("healthy")
    return Statement(about="Health", text=verdict, tone="good" if is_healthy else "bad")


def _cost(run: ReportedRun) -> Statement | None:
    costs = spent(run)
    seconds = costs.get("seconds", costs.get("seconds in steps"))
    parts = [] if seconds is None else [duration(seconds)]
    if "num_sampled_tokens" in costs:
        completions = costs.get("num_sampled_completions", 0)
        tokens = costs["num_sampled_tokens"]
        parts.append(f"{tokens:,.0f} sampled tokens in {completions:,.0f} completions")
    return Statement(about="Cost", text=", ".join(parts) + ".") if parts else None


def duration(seconds: float) -> str:
    """Write a duration for people.

    Example:
        >>> duration(42), duration(200), duration(9000)
        ('42 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
