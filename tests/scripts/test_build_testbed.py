"""The command as a user runs it; what a build writes: tests/rl/testbed/test_build.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from rl.testbed.build import TIERS, build_testbed

pytestmark = pytest.mark.medium  # every test starts the script
ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "build_testbed.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)


def test_help_names_every_tier_and_file():
    result = run("--help")
    assert result.returncode == 0
    for word in (*TIERS, "train.jsonl", "heldout.jsonl", "testbed.json", "--output_dir", "--seed"):
        assert word in result.stdout


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = run("--output_dir", tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert str(tmp_path) in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_seed_out_of_range_is_refused(tmp_path):
    result = run("--output_dir", tmp_path / "testbed", "--seed", -1)
    assert result.returncode == 2
    assert "seed: got -1" in result.stderr
    assert not (tmp_path / "testbed").exists()


def test_a_testbed_with_other_settings_is_refused(tmp_path):
    # One pretraining step, where the script asks for the default number.
    build_testbed(tmp_path, num_pretraining_steps=1, show_progress=False)
    before = (tmp_path / "testbed.json").read_bytes()
    result = run("--output_dir", tmp_path)
    assert result.returncode == 2
    assert "num_pretraining_steps 1 instead of" in result.stderr
    assert (tmp_path / "testbed.json").read_bytes() == before
