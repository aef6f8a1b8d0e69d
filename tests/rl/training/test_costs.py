"""What a run spends, by hand."""

import time

import pytest

from rl.training.costs import CostMeter


def test_nothing_spent():
    assert CostMeter().finish_step() == {}


def test_amounts_of_steps_add_up_to_the_run():
    meter = CostMeter()
    meter.add("tokens", 3)
    meter.add("tokens", 4)
    assert meter.total == {}
    assert meter.finish_step() == {"cost/tokens": 7}
    meter.add("tokens", 5)
    assert meter.finish_step() == {"cost/tokens": 5}
    assert meter.finish_step() == {}
    assert meter.total == {"tokens": 12}


def test_time_is_counted():
    meter = CostMeter()
    for _ in range(2):
        with meter.time("sleep_seconds"):
            time.sleep(0.02)
    assert 0.04 <= meter.finish_step()["cost/sleep_seconds"] < 1.0


def test_a_block_that_fails_is_not_counted():
    meter = CostMeter()
    with pytest.raises(ValueError, match="broken"), meter.time("seconds"):
        raise ValueError("broken")
    assert meter.finish_step() == {}
