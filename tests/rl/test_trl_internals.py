"""Which TRL is used, and where: the pinned one, in a few files."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

from rl.versions import TRL_VERSION

ROOT = Path(__file__).parents[2]
# File -> what it imports of TRL. The configuration and the client are what TRL documents.
IMPORTED = {
    "rl/trl_internals.py": {"trl.distributed", "trl.models.utils", "trl.trainer.utils"},
    "rl/training/host.py": {"trl.trainer.grpo_trainer"},
    "rl/training/config.py": {"trl.trainer.grpo_config"},
    "rl/rollouts/vllm_server_engine.py": {"trl.generation.vllm_client"},
}


def test_trl_is_the_pinned_one():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f"trl=={TRL_VERSION}" in settings["project"]["dependencies"]
    assert version("trl") == TRL_VERSION


def test_few_files_know_trl():
    found = {}
    for path in (ROOT / "rl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                if name.split(".")[0] == "trl":
                    found.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert found == IMPORTED
