"""The installed package: its console command, and what a wheel holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
# Those that only a checkout needs.
OF_A_CHECKOUT = {"demo", "benchmark", "benchmark_votes", "signatures"}


pytestmark = pytest.mark.medium


def test_every_script_is_a_command(installed):
    listed = installed("--help").stdout
    names = {path.stem for path in SCRIPTS.glob("*.py")} - OF_A_CHECKOUT - {"__main__"}
    assert all(f"  {name} " in listed for name in names)


def test_a_command_runs_its_script_and_keeps_its_exit_status(installed, tmp_path):
    helped = installed("vote", "--help")
    assert helped.returncode == 0
    assert "usage: vote.py" in helped.stdout
    missing = installed("compare-evaluations", str(tmp_path / "a"), str(tmp_path / "b"))
    assert missing.returncode == 2
    assert len(missing.stderr.strip().splitlines()) == 1


def test_an_unknown_command_is_one_line(installed):
    result = installed("trian")
    assert result.returncode == 2
    assert "train" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_wheel_holds_the_library_the_scripts_and_their_files(tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*pip, str(tmp_path), str(ROOT)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("rl", "rewards"):
        files = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
        assert files <= names
    assert {f"label_free_rl/{path.name}" for path in SCRIPTS.glob("*.py")} <= names
    assert "rl/report/report.css" in names
    assert "rl/selfplay/prompts/document_qa/questioner.txt" in names
    assert not any(name.startswith(("tests/", "recipes/")) for name in names)
