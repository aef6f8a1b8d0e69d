import gzip
import json

import pytest

from rl.errors import InputError
from rl.evaluation.evaluate import rescore
from rl.evaluation.records import read_samples
from rl.evaluation.saved_completions import read_completions, score_file

MINIMAL = {"problem_id": "p", "completion": r"\boxed{4}", "label": "4"}


def write(tmp_path, *lines):
    path = tmp_path / "completions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_minimal_schema(tmp_path):
    path = write(tmp_path, MINIMAL, {**MINIMAL, "completion": ""})
    found = read_completions(path).samples
    assert [(s.problem_id, s.sample, s.completion) for s in found] == [
        ("p", 0, r"\boxed{4}"),
        ("p", 1, ""),
    ]
    assert (found[0].num_tokens, found[0].truncated, found[0].seed) == (None, None, None)


def test_all_samples_of_a_problem_may_stand_in_one_line(tmp_path):
    path = tmp_path / "groups.jsonl.gz"
    with gzip.open(path, "wt") as lines:
        lines.write(json.dumps({"id": 7, "completions": ["a", "b"], "gold": 4}) + "\n")
    assert [
        (s.problem_id, s.sample, s.completion, s.label) for s in read_completions(path).samples
    ] == [
        ("7", 0, "a", "4"),
        ("7", 1, "b", "4"),
    ]


def test_numbers_of_samples_order_them(tmp_path):
    lines = [{**MINIMAL, "sample": i, "completion": str(i)} for i in (1, 0)]
    assert [s.completion for s in read_completions(write(tmp_path, *lines)).samples] == ["0", "1"]


def test_what_else_a_line_may_hold_reaches_the_metrics(tmp_path):
    facts = {"num_tokens": 9, "truncated": True, "prompt": "2+2=", "choices": "ABCD"}
    path = write(tmp_path, {**MINIMAL, **facts, "label": "B", "completion": "Answer: B"})
    metrics = score_file(path, tmp_path / "out").metrics
    assert (metrics["mean_length"].value, metrics["truncated_frac"].value) == (9.0, 1.0)
    assert metrics["pass@1"].value == 1.0
    [sample] = read_samples(tmp_path / "out")
    assert len(sample.prompt_id) == 16


def test_answers_with_a_rule_are_scored_by_it(tmp_path):
    facts = {"label": "Kai Holm", "aliases": ["Holm"], "rule": "exact", "strata": {"type": "x"}}
    path = write(
        tmp_path,
        {"problem_id": "p", "completion": "The answer is Holm.", **facts},
        {"problem_id": "p", "completion": "The answer is Kai.", **facts},
    )
    metrics = score_file(path, tmp_path / "out").metrics
    # kai: 1 word in common of 1 and 2 with the label, 2 / 3; the other sample is right.
    assert metrics["exact_match"].value == metrics["type/x"].value == 0.5
    assert metrics["f1"].value == pytest.approx((1 + 2 / 3) / 2)


def test_scored_completions_are_an_evaluation(tmp_path):
    lines = [
        {**MINIMAL, "problem_id": p, "completion": text}
        for p, texts in {"p": [r"\boxed{4}", "4"], "q": ["", r"\boxed{\frac{8}{2}}"]}.items()
        for text in texts
    ]
    result = score_file(write(tmp_path, *lines), tmp_path / "out", thresholds=[0.5])
    assert result.metrics["pass@1"].value == 0.5
    assert "g-pass@2_0.5" in result.metrics
    assert "mean_length" not in result.metrics  # nobody said
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["num_problems"], manifest["num_samples"], manifest["k"]) == (2, 2, [1, 2])
    assert rescore(tmp_path / "out").metrics["pass@2"] == result.metrics["pass@2"]
    assert score_file(write(tmp_path, *lines), tmp_path / "out").samples == result.samples
    # What an evaluation wrote can be scored as well.
    again = score_file(tmp_path / "out" / "samples.jsonl", tmp_path / "again")
    assert again.samples == result.samples
    other = write(tmp_path, MINIMAL)
    with pytest.raises(InputError, match=r"scored_file_sha256: got .* Choose another output_dir"):
        score_file(other, tmp_path / "out")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "got no lines"),
        ([[1]], "line 1: got .* expected an object"),
        ([{"problem_id": "p", "label": "4"}], "for completion, expected str"),
        ([{"completion": "x", "label": "4"}], "for problem_id, expected str or int"),
        ([{"problem_id": "p", "completion": "x"}], "for label, expected"),
        ([{**MINIMAL, "label": ""}], "for label, expected"),
        ([{**MINIMAL, "label": float("nan")}], "line 1: got NaN for label"),
        ([{**MINIMAL, "completion": 3}], "got .* for completion, expected str"),
        ([{"id": "p", "label": "4", "completions": [1]}], "got completion 1, expected text"),
        ([{"id": "p", "label": "4", "completions": "x"}], "expected a list of texts"),
        ([{**MINIMAL, "num_tokens": "9"}], "got '9' for num_tokens, expected int"),
        ([{**MINIMAL, "truncated": 1}], "got 1 for truncated, expected bool"),
        ([{**MINIMAL, "sample": 0}] * 2, "line 2: got sample 0 of problem 'p' again"),
        ([MINIMAL, {**MINIMAL, "label": "5"}], "line 2: got label '5' .* expected '4' as before"),
        (
            [MINIMAL, MINIMAL, {**MINIMAL, "problem_id": "q"}],
            "got 1 samples of problem 'q' and 2 of 'p'",
        ),
    ],
)
def test_lines_that_cannot_be_scored_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_completions(write(tmp_path, *lines))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--score: got .* expected a file that exists"):
        read_completions(tmp_path / "missing.jsonl")
