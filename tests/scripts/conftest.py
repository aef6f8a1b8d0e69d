"""The scripts as an installed package has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path):
    """Run `label-free-rl ARGUMENTS` from a folder that is no checkout."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, folder in {"label_free_rl": "scripts", "rl": "rl", "rewards": "rewards"}.items():
        (packages / name).symlink_to(ROOT / folder)
    environment = {**os.environ, "PYTHONPATH": str(packages)}

    def run(*arguments):
        code = "from label_free_rl.__main__ import main; main()"
        command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run
