"""A study of real runs: run, stopped and gone on with, reported."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_model_folder):
    """Two methods, one of which is supervised, of two steps each."""
    folder = tmp_path_factory.mktemp("study")
    problems = folder / "easy" / "problems.jsonl"
    problems.parent.mkdir()
    lines = [json.dumps({"prompt": f"{a}+1=", "label": str(a + 1)}) for a in range(4)]
    problems.write_text("\n".join(lines) + "\n")
    recipe = folder / "recipe.yaml"
    shared = {
        "model": tiny_model_folder,
        "dataset": str(problems),
        "label_column": "label",
        "eval_benchmarks": [str(problems)],
        "eval_num_samples": 4,
        "num_prompts": 2,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 8,
        "max_steps": 12,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "answer_methods": ["last_number"],
    }
    recipe.write_text(yaml.safe_dump(shared))
    path = folder / "study.yaml"
    methods = {"TTRL": {}, "correctness": {"rewards": {"correctness": {}}, "supervised": True}}
    document = {"recipe": str(recipe), "seeds": [0], "variants": {"v": {}}}
    document |= {"methods": methods, "settings": {"max_sampled_tokens": 100}}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def compare(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/compare.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_study_runs_goes_on_and_reports(study, tmp_path, installed):
    output_dir = tmp_path / "out"
    result = compare(study, "--output_dir", output_dir)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| base model |" in result.stdout
    assert "| correctness |" in result.stdout
    assert "<svg" in (output_dir / "curves.svg").read_text()
    rows = json.loads((output_dir / "results.json").read_text())
    controls = ["base model", "base greedy", "base at its best temperature", "base majority"]
    assert [row["method"] for row in rows] == [*controls, "TTRL", "correctness"]

    metrics = [
        json.loads(line)
        for line in (output_dir / "correctness-v-0" / "metrics.jsonl").read_text().splitlines()
    ]
    # At most 64 tokens a step: the budget of 100 ends the run after two to some steps, not twelve.
    steps = [line["step"] for line in metrics if "loss" in line]
    spent = [line["cost/num_sampled_tokens"] for line in metrics if "loss" in line]
    assert 2 <= len(steps) < 12
    assert sum(spent[:-1]) < 100 <= sum(spent)
    # What saw labels says so, everywhere.
    assert all(line["supervised"] for line in metrics)
    assert json.loads((output_dir / "correctness-v-0" / "summary.json").read_text())["supervised"]
    assert "supervised" not in json.loads((output_dir / "ttrl-v-0" / "summary.json").read_text())

    finished = (output_dir / "ttrl-v-0" / "summary.json").stat().st_mtime_ns
    (output_dir / "correctness-v-0" / "summary.json").unlink()
    again = installed("compare", study, "--output_dir", output_dir, "--workers", 1)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (output_dir / "ttrl-v-0" / "summary.json").stat().st_mtime_ns == finished
    assert (output_dir / "correctness-v-0" / "summary.json").is_file()

    document = yaml.safe_load(study.read_text())
    document["methods"]["TTRL"] = {"learning_rate": 0.5, "eval_num_samples": 8}
    document["settings"]["logging_steps"] = 2
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(document, sort_keys=False))
    refused = compare(changed, "--output_dir", output_dir)
    assert refused.returncode == 2
    assert re.search(
        r"^error: \w+: got (0\.5|8), expected .* as in the finished .*ttrl-v-0\.", refused.stderr
    )


@pytest.mark.medium
def test_a_wrong_method_is_refused_before_anything_runs(study, tmp_path):
    document = yaml.safe_load(study.read_text())
    document["methods"]["typo"] = {"epsilon_hihg": 0.28}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(document))
    result = compare(path, "--output_dir", tmp_path / "out")
    assert result.returncode == 2
    assert "epsilon_hihg" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.medium
def test_a_report_needs_a_finished_run(study, tmp_path):
    result = compare(study, "--output_dir", tmp_path, "--report_only")
    assert result.returncode == 2
    assert "without a finished run" in result.stderr


@pytest.mark.slow
def test_ctrl_c_saves_the_run_at_work_and_starts_no_other(study, tmp_path):
    document = yaml.safe_load(study.read_text())
    document["settings"] = {"max_steps": 200}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    output_dir = tmp_path / "out"
    command = [sys.executable, "scripts/compare.py", path, "--output_dir", output_dir]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "1"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell, as tests may be, ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    metrics = output_dir / "ttrl-v-0" / "metrics.jsonl"
    while not (metrics.is_file() and '"loss"' in metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "interrupted; the same command goes on where the runs stopped" in said
    assert "Traceback" not in said
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert not (output_dir / "correctness-v-0").exists()
    [checkpoint] = (output_dir / "ttrl-v-0").glob("checkpoint-*")
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert max(steps) == int(checkpoint.name.partition("-")[2]) < 200
