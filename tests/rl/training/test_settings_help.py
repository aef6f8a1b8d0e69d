"""The page of settings is whole, says the defaults there are, and takes no training library."""

import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

from rl.training.config import LabelFreeConfig
from rl.training.settings_help import GROUPS, settings_help

ROOT = Path(__file__).parents[3]
PAGE = settings_help()


def test_ten_settings_come_first():
    assert len(GROUPS["the ten to begin with"]) == 10
    assert PAGE.startswith(
        "\nthe ten to begin with:\n  --model ()\n      Model folder or hub id.\n"
    )


def test_every_setting_of_ours_is_there_once_with_its_default():
    names = [line.split()[0][2:] for line in PAGE.splitlines() if line.startswith("  --")]
    assert len(names) == len(set(names))
    by_name = {field.name: field for field in fields(LabelFreeConfig)}
    assert set(names) <= set(by_name)
    assert set(LabelFreeConfig.__annotations__) <= set(names)
    for name in names:
        field = by_name[name]
        if field.default is not MISSING:
            assert f"  --{name} ({field.default})\n" in PAGE, name


def test_help_loads_nothing_that_trains():
    code = (
        "import runpy, sys; sys.argv = ['train.py', '--help']\n"
        "try:\n    runpy.run_path('scripts/train.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(result.stdout.splitlines()[-1].split())
    assert "--max_completion_length (256)" in result.stdout
    assert not loaded & {"torch", "transformers", "trl", "datasets", "numpy"}
