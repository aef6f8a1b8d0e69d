import importlib.util
import json
from pathlib import Path

import pytest

from rl.evaluation.saved_completions import score_file

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_evaluations.py"


@pytest.fixture(scope="session")
def compare():
    spec = importlib.util.spec_from_file_location("compare_evaluations_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def make_evaluation(tmp_path):
    """Score written-down answers, {problem: [answers]}; every label is 1."""

    def make(name, answers):
        path = tmp_path / f"{name}.jsonl"
        lines = [
            {"id": p, "label": "1", "completions": [rf"\boxed{{{a}}}" for a in given]}
            for p, given in answers.items()
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        score_file(path, tmp_path / name)
        return str(tmp_path / name)

    return make


def test_two_evaluations_are_compared(compare, make_evaluation, tmp_path, capsys):
    a = make_evaluation("base", {"p": [1, 1, 2], "q": [2, 2, 1], "r": [3, 4, 5]})
    b = make_evaluation("trained", {"p": [1, 1, 1], "q": [1, 1, 2], "r": [3, 3, 3]})
    output = tmp_path / "compared.json"
    compare([a, b, "--output", str(output)])
    found = json.loads(output.read_text())
    assert found["transitions"] == {"kept": ["p"], "learned": ["q"], "lost": [], "never": ["r"]}
    assert found["metrics"]["pass@1"]["difference"] == pytest.approx(2 / 9)
    printed = " ".join(capsys.readouterr().out.split())
    # Two thirds more on q, and nothing on p and r: one sign says nothing.
    assert (
        "B's single answers (pass@1 0.556) are level with A's vote over 3 samples (maj@3 0.333): "
        "+0.222, 95% interval"
    ) in printed
    assert "flip p 1.000" in printed
    assert "learned" in printed


def test_to_beat_takes_an_interval_and_a_test(compare, make_evaluation, capsys):
    problems = "abcdefghijkl"
    a = make_evaluation("base", {p: [2, 2] for p in problems})
    b = make_evaluation("trained", {p: [1, 1] for p in problems})
    # Twelve problems, all better: p = 2 / 2**12 = 0.0005, whatever --k says about the vote.
    for sides, verdict in (((a, b), "beat"), ((b, a), "fall short of"), ((a, a), "are level with")):
        compare([*sides, "--k", "1"])
        printed = " ".join(capsys.readouterr().out.split())
        assert f"{verdict} A's vote over 2 samples (maj@2" in printed
        differs = verdict != "are level with"
        assert ("flip p <0.001" in printed) == differs
        assert ("12/0 <0.001 <0.001" in printed) == (verdict == "beat")
        assert ("0/12 <0.001 <0.001" in printed) == (verdict == "fall short of")


def test_names_of_metrics_are_whole_at_80_columns(compare, make_evaluation, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    a = make_evaluation("base", {"p": [1, 2]})
    compare([a, a])
    printed = capsys.readouterr().out
    table = printed.partition("B's single")[0]
    assert all(f"{name} " in table for name in ("no_answer_frac", "num_distinct_answers"))
    assert "+0.000 to +0.000" in table  # an interval stands in one line
    assert "…" not in table
    assert max(map(len, table.splitlines()[2:])) <= 80


def test_a_control_may_stand_beside_the_trained_model(compare, make_evaluation, tmp_path, capsys):
    base = make_evaluation("base", {"p": [1, 2]})
    others = [make_evaluation("trained", {"p": [1, 1]}), make_evaluation("control", {"p": [2, 2]})]
    output = tmp_path / "compared.json"
    compare([base, *others, "--output", str(output), "--k", "1"])
    found = json.loads(output.read_text())["comparisons"]
    assert [one["b"]["folder"] for one in found] == others
    assert "are level with A's vote over 2 samples" in " ".join(capsys.readouterr().out.split())
    assert "maj@2" not in found[0]["metrics"]


def test_bad_input_is_one_line_and_exit_status_2(compare, make_evaluation, capsys):
    a = make_evaluation("a", {"p": [1]})
    b = make_evaluation("b", {"q": [1]})
    for arguments, message in (
        ([a, b], "expected the same problems in both"),
        ([a, "/missing"], "expected a folder with the manifest.json"),
        ([a, a, "--k", "2"], "--k: got [2], expected sizes between 1 and 1"),
        ([a, a, "--output", "/missing/x.json"], "--output: got /missing/x.json"),
        ([a, a, "--output", a], "expected the name of a file"),
    ):
        with pytest.raises(SystemExit) as exit_info:
            compare(arguments)
        assert exit_info.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
