import json
import subprocess
import sys

import pytest

from rl.errors import InputError
from rl.evaluation.evaluate import (
    check_ks,
    default_ks,
    evaluate_problems,
    grade,
    rescore,
    summarize,
)
from rl.evaluation.manifest import build_manifest, open_evaluation
from rl.evaluation.problems.labelled import Problem
from rl.evaluation.records import SampleRecord, read_samples, write_samples
from rl.rollouts.engine import SamplingSettings, derive_seed

HALF = Problem(id="half", prompt="1/2=", label="0.5")
SUM = Problem(id="sum", prompt="2+2=", label="4")
COMPLETIONS = {
    # Classes: 0.5 (twice, written in two ways), 7, no answer.
    "1/2=": [r"\boxed{7}", r"\boxed{\frac12}", "0.5...", r"so \boxed{0.50}"],
    # Nobody answers.
    "2+2=": ["4", "four...", "", r"\boxed{}"],
}


def record(sample, completion, label="4", problem_id="p"):
    return SampleRecord(
        problem_id=problem_id,
        sample=sample,
        seed=0,
        prompt_id="00",
        completion=completion,
        num_tokens=len(completion),
        truncated=False,
        label=label,
    )


def graded(completions, label):
    samples = [record(i, text, label) for i, text in enumerate(completions)]
    return [(s.answer, s.cluster, s.correct) for s in grade(samples)]


def test_a_class_is_correct_as_a_whole_and_no_answer_is_wrong():
    assert graded([r"\boxed{7}", r"\boxed{\frac12}", "?", r"\boxed{0.50}"], "1/2") == [
        ("7", 0, False),
        (r"\frac12", 1, True),
        (None, None, False),
        ("0.50", 1, True),
    ]


def test_without_any_answer_all_samples_are_wrong():
    assert graded(["", "4"], "4") == [(None, None, False)] * 2


HANGS = """
import time
from types import SimpleNamespace
from rl.evaluation.evaluate import evaluate_problems
from rl.evaluation.problems.labelled import Problem

engine = SimpleNamespace(generate=lambda *arguments: time.sleep(60))
tokenizer = lambda text, **settings: {"input_ids": [[1]]}
problem = Problem(id="sum", prompt="2+2=", label="4")
evaluate_problems(engine, tokenizer, [problem], num_samples=1, max_sampling_seconds=0.5)
"""


@pytest.mark.medium
def test_a_sampler_that_hangs_ends_the_process():
    result = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 124
    assert "error: sampling of an evaluation: got no end after 0.5 s on rank 0" in result.stderr


def evaluate(engine, tokenizer, problems, **settings):
    return evaluate_problems(engine, tokenizer, problems, **{"num_samples": 4, **settings})


def test_the_metrics_of_two_problems_by_hand(make_engine, tokenizer):
    result = evaluate(make_engine(COMPLETIONS), tokenizer, [HALF, SUM], ks=[1, 2, 4])
    values = {name: estimate.value for name, estimate in result.metrics.items()}
    # half: n = 4, c = 2, one abstains, classes {7: 1, 0.5: 2}; sum: nothing is correct.
    # pass@2: 1 - C(2,2)/C(4,2) = 5/6. maj@2: pairs 7-half 2 x 1/2, half-half 1, half-none 2 = 4/6.
    # Tokens of half: 9 + 1, 15 + 1, 6 (truncated, no end token), 15 + 1, 48 in all; of sum: 1 + 1,
    # 7, 0 + 1, 8 + 1, 19 in all.
    assert {name: values.pop(f"pass^{name}") for name in (1, 2, 4)} == pytest.approx(
        {1: 0.5 / 2, 2: 1 / 6 / 2, 4: 0.0}
    )
    assert values == pytest.approx(
        {
            "pass@1": 0.5 / 2,
            "pass@2": 5 / 6 / 2,
            "pass@4": 1 / 2,
            "maj@1": 0.5 / 2,
            "maj@2": 4 / 6 / 2,
            "maj@4": 1 / 2,
            "avg@4": 0.5 / 2,
            "mean_length": (48 / 4 + 19 / 4) / 2,
            "no_answer_frac": (1 / 4 + 1) / 2,
            "truncated_frac": 1 / 4,
            "majority_ratio": (2 / 4 + 0) / 2,
            "num_distinct_answers": (2 + 0) / 2,
        }
    )
    # The mean of two problems, 1 and 0, is resampled as 0, 0.5 or 1; s = 1 / sqrt(2).
    estimate = result.metrics["maj@4"]
    assert (estimate.ci_low, estimate.ci_high, estimate.n) == (0.0, 1.0, 2)
    assert estimate.standard_error == pytest.approx(0.5)


def test_records_say_where_each_sample_comes_from(make_engine, tokenizer):
    result = evaluate(make_engine(COMPLETIONS), tokenizer, [SUM, HALF], seed=3)
    assert [(s.problem_id, s.sample) for s in result.samples] == [
        (name, i) for name in ("sum", "half") for i in range(4)
    ]
    first, last = result.samples[4], result.samples[7]
    assert first.seed == last.seed == derive_seed(3, "half")
    assert first.prompt_id == last.prompt_id != result.samples[0].prompt_id
    assert (last.completion, last.num_tokens, last.label) == (r"so \boxed{0.50}", 16, "0.5")


def test_batches_and_the_order_of_problems_do_not_matter(make_engine, tokenizer):
    one = make_engine(COMPLETIONS)
    all_at_once = evaluate(one, tokenizer, [HALF, SUM])
    two = make_engine(COMPLETIONS)
    in_batches = evaluate(two, tokenizer, [SUM, HALF], batch_size=7)
    assert [len(prompts) for prompts, _, _ in one.calls] == [2]
    assert [len(prompts) for prompts, _, _ in two.calls] == [1, 1]
    assert all_at_once.metrics == in_batches.metrics
    assert all_at_once.samples == in_batches.samples[4:] + in_batches.samples[:4]


def test_nothing_is_written_without_a_folder_and_all_of_it_with_one(
    make_engine, tokenizer, tmp_path
):
    engine = make_engine(COMPLETIONS)
    result = evaluate(engine, tokenizer, [HALF, SUM], output_dir=tmp_path)
    assert read_samples(tmp_path) == result.samples
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["maj@4"].pop("standard_error") == pytest.approx(0.5)
    assert summary["maj@4"] == {"value": 0.5, "ci_low": 0.0, "ci_high": 1.0, "n": 2}
    assert evaluate(engine, tokenizer, [HALF, SUM]).metrics == result.metrics


@pytest.mark.parametrize("num_kept", [0, 2, 4, 5, 8])
def test_a_killed_evaluation_continues_and_ends_as_if_it_had_not_been(
    make_engine, tokenizer, tmp_path, num_kept
):
    whole = evaluate(make_engine(COMPLETIONS), tokenizer, [HALF, SUM], output_dir=tmp_path)
    path = tmp_path / "samples.jsonl"
    expected = path.read_text()
    lines = expected.splitlines(keepends=True)
    path.write_text("".join(lines[:num_kept]) + "".join(lines[num_kept : num_kept + 1])[:20])
    engine = make_engine(COMPLETIONS)
    assert evaluate(engine, tokenizer, [HALF, SUM], output_dir=tmp_path) == whole
    assert path.read_text() == expected
    asked = [prompt for prompts, _, _ in engine.calls for prompt in prompts]
    assert asked == ["1/2=", "2+2="][num_kept // 4 :]


def test_more_samples_extend_the_evaluation_and_may_move_classes(make_engine, tokenizer, tmp_path):
    short = evaluate(
        make_engine(COMPLETIONS), tokenizer, [HALF], num_samples=1, output_dir=tmp_path
    )
    longer = evaluate(make_engine(COMPLETIONS), tokenizer, [HALF], output_dir=tmp_path)
    assert longer.samples[:1] == short.samples
    assert longer == evaluate(make_engine(COMPLETIONS), tokenizer, [HALF])
    assert read_samples(tmp_path) == longer.samples


def test_saved_samples_are_graded_again_without_an_engine(make_engine, tokenizer, tmp_path):
    manifest = build_manifest(
        model="m",
        benchmark="b",
        problems=[HALF, SUM],
        num_samples=4,
        ks=[1, 4],
        sampling=SamplingSettings(max_completion_length=20),
        engine="transformers",
        seed=0,
    )
    open_evaluation(tmp_path, manifest)
    whole = evaluate(make_engine(COMPLETIONS), tokenizer, [HALF, SUM], output_dir=tmp_path)
    spoiled = [record(s.sample, s.completion, s.label, s.problem_id) for s in whole.samples]
    write_samples(tmp_path, spoiled)
    rescored = rescore(tmp_path)
    assert [(s.answer, s.cluster, s.correct) for s in rescored.samples] == [
        (s.answer, s.cluster, s.correct) for s in whole.samples
    ]
    assert rescored.metrics["maj@4"] == whole.metrics["maj@4"]
    # An unfinished problem is graded but does not enter the metrics.
    write_samples(tmp_path, spoiled[:6])
    assert rescore(tmp_path).metrics["maj@4"].n == 1
    assert len(read_samples(tmp_path)) == 6
    write_samples(tmp_path, spoiled[:3])
    with pytest.raises(InputError, match="no problem of 4 samples"):
        rescore(tmp_path)


def test_rescoring_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with the manifest.json"):
        rescore(tmp_path / "missing")


def test_problems_with_another_number_of_samples_are_refused():
    samples = [record(0, "4"), record(0, "4", problem_id="q"), record(1, "4", problem_id="q")]
    with pytest.raises(ValueError, match=r"got \[1, 2\], expected one number"):
        summarize(samples, [1])
    with pytest.raises(ValueError, match=r"got \[\], expected one number"):
        summarize([], [1])


def test_the_sizes_of_a_draw_are_powers_of_four_and_n():
    assert [default_ks(n) for n in (1, 3, 4, 64)] == [[1], [1, 3], [1, 4], [1, 4, 16, 64]]
    assert check_ks([4, 1, 4], 4) == [1, 4]


@pytest.mark.parametrize(("ks", "n", "message"), [([5], 4, "k: got 5"), ([0], 4, "k: got 0")])
def test_a_draw_that_is_too_large_is_refused_before_sampling(
    make_engine, tokenizer, ks, n, message
):
    engine = make_engine(COMPLETIONS)
    with pytest.raises(InputError, match=message):
        evaluate(engine, tokenizer, [HALF], num_samples=n, ks=ks)
    with pytest.raises(InputError, match="num_samples: got 0"):
        evaluate(engine, tokenizer, [HALF], num_samples=0)
    assert engine.calls == []


def test_a_prompt_that_is_too_long_loses_its_middle_and_says_so(make_engine, tokenizer):
    # Four of the eight characters stay; the shorter prompt stays as it is.
    long = Problem(id="long", prompt="abcdefgh", label="A b", rule="exact", aliases=("B",))
    engine = make_engine({"abgh": ["The answer is the b."], "2+2=": [r"\boxed{4}"]})
    result = evaluate(engine, tokenizer, [long, SUM], num_samples=1, max_prompt_length=4)
    assert [prompts for prompts, _, _ in engine.calls] == [["abgh", "2+2="]]
    cut, whole = result.samples
    assert (cut.prompt_cut, whole.prompt_cut) == (True, False)
    assert (cut.correct, cut.accepted, cut.scores["f1"]) == (True, ("A b", "B"), 1.0)
    assert result.metrics["cut_prompt_frac"].value == 0.5
    assert "f1" not in result.metrics  # a sum has none


def test_right_answers_survive_the_file_and_rescoring(make_engine, tokenizer, tmp_path):
    problem = Problem(
        id="p",
        prompt="who?",
        label="A b",
        rule="cover",
        aliases=("Cd",),
        strata={"type": "bridge"},
    )
    engine = make_engine({"who?": ["The answer is cd e.", "cd"]})
    manifest = build_manifest(
        model="m",
        benchmark="b",
        problems=[problem],
        num_samples=2,
        ks=[1, 2],
        sampling=SamplingSettings(max_completion_length=20),
        engine="transformers",
        seed=0,
    )
    open_evaluation(tmp_path, manifest)
    found = evaluate(engine, tokenizer, [problem], num_samples=2, output_dir=tmp_path)
    assert [sample.correct for sample in found.samples] == [True, False]
    assert read_samples(tmp_path) == found.samples
    again = rescore(tmp_path)
    assert again.samples == found.samples
    assert again.metrics == found.metrics
    assert again.metrics["type/bridge"].value == again.metrics["cover_match"].value == 0.5
    summary = json.loads((tmp_path / "summary.json").read_text())
    # cd in common: 1 of 2 words and 1, so 2 / 3; the other sample has no answer.
    assert summary["f1"]["value"] == pytest.approx(1 / 3)
