"""Deadlines for what may hang; each in a process of its own, which they end."""

import subprocess
import sys
import time

import pytest

from rl.watchdog import deadline

HANGS = """
import os, threading, time
from rl.watchdog import deadline
os.environ["RANK"] = "3"
with deadline("sampling", 60, "max_sampling_seconds"):
    with deadline("reward 'mine'", 0.2, "max_reward_seconds"):
        time.sleep(60)  # it hangs here
"""


def test_what_ends_in_time_goes_on():
    for seconds in (0, 60):
        with deadline("sampling", seconds, "max_sampling_seconds"):
            pass
    with pytest.raises(ZeroDivisionError), deadline("reward", 60, "max_reward_seconds"):
        raise ZeroDivisionError
    with deadline("reward", 0.05, "max_reward_seconds"):
        pass
    time.sleep(0.1)  # the deadline that was met ends nothing


def test_what_hangs_ends_the_process_with_one_line():
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False
    )
    assert time.monotonic() - begin < 50
    assert result.returncode == 124
    [line] = result.stderr.strip().splitlines()
    assert line == (
        "error: reward 'mine': got no end after 0.2 s on rank 3, expected one. Raise "
        "max_reward_seconds (0: no limit) if it may take that long; it was at <string>:7."
    )
