"""A folder that measurements take for a testbed."""

import json
import shutil

import pytest


@pytest.fixture
def testbed(tmp_path, tiny_model_folder):
    """A folder like a testbed's, of sixteen prompts."""
    shutil.copytree(tiny_model_folder, tmp_path / "model")
    rows = [json.dumps({"prompt": f"{a}+{b}="}) for a in range(4) for b in range(4)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    return tmp_path
