"""Library versions and the commit that are written into a run's files, and which TRL is taken."""

import subprocess
from pathlib import Path

import pytest
import torch

from rl import versions
from rl.errors import InputError
from rl.versions import check_trl_version, git_commit, library_versions

ROOT = Path(__file__).parents[2]


def test_versions_of_installed_libraries_only():
    versions = library_versions(["torch", "trl", "no-such-library"])
    assert versions == {"torch": torch.__version__, "trl": "1.16.0"}


def test_commit_is_that_of_the_checkout():
    found = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    assert git_commit() == (found or None)


def test_a_machine_without_git_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None


def test_another_trl_is_refused(monkeypatch):
    check_trl_version()
    monkeypatch.setattr(versions, "version", lambda name: "9.9.9")
    with pytest.raises(InputError, match=r"^trl: got version 9\.9\.9, expected 1\.16\.0, .* Inst"):
        check_trl_version()
