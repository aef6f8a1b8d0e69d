"""The memory of an update, at its smallest."""

import pytest
from measurements import memory
from measurements.updates import UpdateSizes


@pytest.mark.slow
def test_shared_prompts_take_less(monkeypatch):
    monkeypatch.setattr(memory, "SHAPES", ((64, 16, 4),))
    [found] = memory.measure_memory(UpdateSizes(hidden_size=64, num_layers=1))
    # Two prompts and eight completions, against eight rows of both.
    assert 0 < found.values[0] < 1
