"""Tokens per second of the engines, each a real one."""

import pytest
from measurements.engines import measure_engines


@pytest.mark.slow
def test_every_engine_is_compared(testbed, tmp_path):
    bare, *ours = measure_engines(testbed, tmp_path, repetitions=1)
    assert [found.name.partition("engine ")[2] for found in ours] == [
        f"{name} / vllm.LLM.generate" for name in ("vllm", "vllm_server", "transformers")
    ]
    assert all(found.values[0] > 0 for found in (bare, *ours))
