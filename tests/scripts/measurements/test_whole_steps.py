"""Whole steps of both trainers, with vLLM in the process."""

import pytest
from measurements.whole_steps import measure_whole_steps


@pytest.mark.slow
def test_both_trainers_take_steps(testbed):
    for found in measure_whole_steps(testbed, repetitions=1):
        assert 0 < found.values[0] < 10
