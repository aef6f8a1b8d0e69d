"""The benchmark's command line, and a small run of its two cheap parts."""

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).parents[2] / "scripts" / "benchmark.py")


@pytest.fixture
def run(monkeypatch, tmp_path):
    def run(*arguments):
        command = [SCRIPT, "--output_dir", str(tmp_path / "out"), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(SCRIPT, run_name="__main__")
        return tmp_path / "out"

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "updates"], "Did you mean 'update'"),
        (["--parts", "votes"], "--completions: got None"),
        (["--parts", "steps", "--testbed", "no_such_folder"], "--testbed: got no_such_folder"),
        (["--parts", "prompts", "--smollm2", "no_such_folder"], "--smollm2: got no_such_folder"),
        (["--parts", "pretrained", "--smollm2", "nowhere"], "--smollm2: got nowhere"),
        (["--parts", "whole", "--strategies", "nowhere"], "build_testbed.py --strategies --output"),
        (["--parts", "pictures", "--pictures", "nowhere"], "build_testbed.py --pictures --output"),
        (["--parts", "update", "--ranks", "two"], "--ranks: got 'two'"),
        (["--parts", "update", "--repetitions", "0"], "--repetitions: got 0"),
    ],
)
def test_bad_input_is_one_line(run, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_small_run(run, tmp_path, capsys):
    completions = tmp_path / "completions.jsonl"
    completions.write_text(json.dumps({"completions": [r"\boxed{1}", r"\boxed{2}"]}) + "\n")
    sizes = ["--num_prompts", 2, "--num_generations", 4, "--mean_length", 4, "--hidden_size", 64]
    folder = run(
        *("--parts", "update,votes", "--completions", completions, "--repetitions", 1),
        *sizes,
        *("--micro_batch", 4, "--num_layers", 1),
    )
    document = json.loads((folder / "results.json").read_text())
    names = [result["name"] for result in document["results"]]
    assert names[0].startswith("update phase, early")
    assert "votes per second, cold" in names
    assert all(result["min"] <= result["median"] <= result["max"] for result in document["results"])
    assert {"date", "device", "versions", "settings"} <= document.keys()
    table = (folder / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert len(table.splitlines()) == 2 + len(names)
