"""What a report says of a run first."""

from pathlib import Path

from rl.report.folders import ReportedRun
from rl.report.results import result_rows
from rl.report.verdicts import Statement, statements

GREEDY = {"difference": 0.55, "ci_low": 0.5, "ci_high": 0.6}
MAJORITY = {"difference": -0.25, "ci_low": -0.5, "ci_high": -0.125}


def said_of(summary, *, metrics=(), kind="run", is_finished=True, settings=None, others=()):
    run = ReportedRun(
        name="r",
        path=Path("r"),
        kind=kind,
        is_finished=is_finished,
        summary=summary,
        metrics=list(metrics),
        settings=settings or {},
    )
    return [
        (said.about, said.text, said.tone) for said in statements(run, result_rows(run, others))
    ]


def test_a_run_that_left_nothing():
    assert said_of({}) == [
        ("Result", "Nothing was evaluated: whether it worked is not known.", "plain")
    ]
    assert said_of({}, is_finished=False) == []
    assert said_of({"pass@1": 0.5}, kind="evaluation") == []


def test_a_gain_beside_its_controls():
    summary = {
        "before": {"pass@1": 0.25},
        "after": {"pass@1": 0.75},
        "controls": {"differences": {"greedy": GREEDY}, "verdict": "..."},
        "verdict": "healthy: no guard saw trouble in 9 steps.",
        "cost": {"seconds": 200.0, "num_sampled_tokens": 12345, "num_sampled_completions": 678},
    }
    result = (
        "It learned: beyond every control. On heldout, pass@1 0.750 (base 0.250): "
        "+0.550 (+0.500 to +0.600) against the base's greedy."
    )
    assert said_of(summary, settings={"eval_benchmarks": ["heldout.jsonl"]}) == [
        ("Result", result, "good"),
        ("Health", "healthy: no guard saw trouble in 9 steps.", "good"),
        ("Cost", "3 min 20 s, 12,345 sampled tokens in 678 completions.", "plain"),
    ]


def test_several_benchmarks_are_summed_up():
    controls = {"a.jsonl": {"differences": {"greedy": GREEDY}}}
    controls["b.jsonl"] = {"differences": {"greedy": GREEDY, "majority of 8": MAJORITY}}
    after = {"a.jsonl": {"pass@1": 0.6}, "b.jsonl": {"pass@1": 0.5}, "c.jsonl": {"pass@1": 0.4}}
    assert said_of({"after": after, "controls": controls}) == [
        (
            "Result",
            "It learned, beyond every control, on 1 of 2 benchmarks; not worth its training, "
            "below a control, on 1 (b). Mean pass@1 0.550, beside the base's greedy and majority.",
            "plain",
        )
    ]


def test_what_is_kept_of_a_stream_of_data_sets():
    told = {"steps": [4, 8], "average_accuracy": 0.5, "forgetting": 0.25}
    told |= {"backward_transfer": -0.25, "forward_transfer": 0.125}
    said = said_of({"after": {"pass@1": 0.5}, "continual": told})
    text = "Over 2 data sets: mean pass@1 0.500, forgotten +0.250, backward transfer -0.250, "
    assert ("Result", text + "forward transfer +0.125.", "plain") in said
    told |= {"forgetting": None}
    assert len(said_of({"after": {"pass@1": 0.5}, "continual": told})) == len(said) - 1


def test_what_can_be_said_without_controls_and_without_labels():
    unlabelled = {"before": {"majority_ratio": 0.25}, "after": {"majority_ratio": 0.5}}
    [(_, text, _)] = said_of(unlabelled, settings={"eval_benchmarks": []})
    assert (
        text == "agreement on benchmark: 0.250 → 0.500. No labels: whether answers are right "
        "is not known."
    )
    [(_, text, _)] = said_of({"after": {"pass@1": 0.5, "majority_ratio": 0.9}})
    assert text.startswith("pass@1 on benchmark: 0.500. The run measured no controls")
    # Of two benchmarks the mean; the base's votes, (0.5 + 1) / 2, are above (0.25 + 0.75) / 2.
    before = {"a.jsonl": {"pass@1": 0.125, "maj@4": 0.5}, "b.jsonl": {"pass@1": 0.5, "maj@4": 1}}
    after = {"a.jsonl": {"pass@1": 0.25}, "b.jsonl": {"pass@1": 0.75}}
    [(_, text, _)] = said_of({"before": before, "after": after})
    assert text.startswith("mean pass@1 over 2 benchmarks: 0.312 → 0.500. The run measured no")
    assert text.endswith(" The base's vote (maj@4) reached no less: 0.750.")


def test_a_run_without_controls_stands_beside_those_of_another_run_with_its_base():
    settings = {"model": "m", "eval_benchmarks": ["a.jsonl", "b.jsonl"]}
    lender = ReportedRun(
        name="first",
        path=Path("first"),
        kind="run",
        settings=settings,
        summary={
            "before": {"a.jsonl": {"pass@1": 0.25}, "b.jsonl": {"pass@1": 0.5}},
            "controls": {
                "a.jsonl": {"greedy": 0.125, "majority": 0.625, "num_votes": 8},
                "b.jsonl": {"greedy": 0.25, "majority": 0.875, "num_votes": 8},
            },
        },
    )
    # (0.75 + 0.5) / 2 = 0.625, base (0.25 + 0.5) / 2; 0.5 is below the vote on b.
    after = {"after": {"a.jsonl": {"pass@1": 0.75}, "b.jsonl": {"pass@1": 0.5}}}
    [(_, text, tone)] = said_of(after, settings=settings, others=[lender])
    assert text == (
        "Mean pass@1 0.625 (base 0.375), above the base's greedy and vote on 1 of 2 benchmarks, "
        "not on b. first measured the base: values only, since nothing is paired by problem."
    )
    assert tone == "plain"
    [(_, text, _)] = said_of(after, settings={**settings, "model": "n"}, others=[lender])
    assert "measured no controls" in text


def test_trouble_is_no_good_news():
    verdict = "collapsing since step 60: all completions reach 48 tokens."
    assert ("Health", verdict, "bad") in said_of({"verdict": verdict})
    assert Statement(about="Cost", text="").tone == "plain"


def test_an_unfinished_run_tells_its_cost_so_far():
    lines = [{"step": 1, "step_time": 21.0}, {"step": 2, "step_time": 21.0}]
    assert said_of({}, metrics=lines, is_finished=False) == [("Cost", "42 s.", "plain")]
