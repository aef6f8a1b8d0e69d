"""Measurements that need processes of their own, at their smallest."""

import json
import os
import shutil

import pytest
from measurements import memory
from measurements.alone import alone
from measurements.engines import measure_engines
from measurements.updates import UpdateSizes
from measurements.whole_steps import measure_whole_steps


def test_work_is_done_in_another_process():
    assert alone(os.getppid) == os.getpid()
    with pytest.raises(ZeroDivisionError):
        alone(divmod, 1, 0)


@pytest.mark.slow
def test_memory(monkeypatch):
    monkeypatch.setattr(memory, "SHAPES", ((64, 16, 4),))
    [found] = memory.measure_memory(UpdateSizes(hidden_size=64, num_layers=1))
    # Two prompts and eight completions, against eight rows of both.
    assert 0 < found.values[0] < 1


@pytest.fixture
def testbed(tmp_path, tiny_model_folder):
    shutil.copytree(tiny_model_folder, tmp_path / "model")
    rows = [json.dumps({"prompt": f"{a}+{b}="}) for a in range(4) for b in range(4)]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    return tmp_path


@pytest.mark.slow
def test_engines(testbed, tmp_path):
    bare, *ours = measure_engines(testbed, tmp_path, repetitions=1)
    names = [found.name.partition("engine ")[2] for found in ours]
    assert names == [
        f"{name} / vllm.LLM.generate" for name in ("vllm", "vllm_server", "transformers")
    ]
    assert all(found.values[0] > 0 for found in (bare, *ours))


@pytest.mark.slow
def test_whole_steps(testbed):
    for found in measure_whole_steps(testbed, repetitions=1):
        assert 0 < found.values[0] < 10
