"""The command as a user runs it: a folder in, one page out, one line for bad input."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.medium  # every test starts the script
ROOT = Path(__file__).parents[2]


def run_report(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "report.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture
def run_dir(tmp_path):
    """A run that is still going: two steps, no summary."""
    folder = tmp_path / "going"
    (folder / "rollouts").mkdir(parents=True)
    (folder / "config.yaml").write_text("settings: {model: m, max_steps: 9}\n")
    lines = "".join(json.dumps({"step": step, "reward": 0.5}) + "\n" for step in (1, 2))
    (folder / "metrics.jsonl").write_text(lines + '{"step": 3, ')
    for step in (1, 2):
        line = {"step": step, "prompt_id": "p", "visit": "0", "prompt": "1+1=", "rollout": 0}
        with gzip.open(folder / "rollouts" / f"step_{step:06d}.jsonl.gz", "wt") as file:
            file.write(json.dumps({**line, "completion": "2"}) + "\n")
    return folder


def test_one_run_writes_into_its_folder(run_dir):
    finished = run_report(run_dir)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"{run_dir / 'report.html'}  (")
    page = (run_dir / "report.html").read_text()
    assert "running or stopped at step 2 of 9" in page
    assert [path.name for path in run_dir.glob("*.html*")] == ["report.html"]


def test_several_runs_and_chosen_steps(run_dir, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text('{"after": {"pass@1": 0.5}}')
    page = tmp_path / "page.html"
    finished = run_report(run_dir, tmp_path / "other", "--output", page, "--steps", "2")
    assert finished.returncode == 0, finished.stderr
    assert "going: 1 of 2 steps with rollouts were asked for." in finished.stdout
    assert 'id="rollouts-0-2"' in page.read_text()
    assert 'id="rollouts-0-1"' not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/none"], "RUN: got"),
        (["{run}", "{run}"], "--output: got none for 2 runs"),
        (["{run}", "--output", "{run}"], "expected the name of a file"),
        (["{run}", "--output", "{run}/none/page.html"], "expected a file in an existing folder"),
        (["{run}", "--steps", "1;2"], "expected whole numbers"),
        (["{run}", "--steps", "7"], "Nearest to it: 2, 1."),
        (["{run}", "--max_megabytes", "0"], "--max_megabytes: got 0"),
        (["{run}", "--smoothing", "0"], "--smoothing: got 0"),
    ],
    ids=[
        "no run",
        "no output",
        "folder",
        "no folder",
        "steps",
        "no step",
        "megabytes",
        "smoothing",
    ],
)
def test_bad_input_is_one_line(run_dir, arguments, message):
    finished = run_report(*(argument.format(run=run_dir) for argument in arguments))
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(run_dir.glob("*.html"))


def test_help_says_what_a_run_is():
    finished = run_report("--help")
    assert finished.returncode == 0
    assert "RUN is the folder of a training run" in finished.stdout
