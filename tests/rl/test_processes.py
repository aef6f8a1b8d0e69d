"""A process that was left behind ends."""

import subprocess
import sys

import psutil
import pytest

from rl.processes import end_with_parent

SCRIPT = """
import multiprocessing
import time

from rl.processes import end_with_parent


def work():
    end_with_parent()
    print(multiprocessing.current_process().pid, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    process = multiprocessing.get_context("forkserver").Process(target=work)
    process.start()
    process.join()
"""


def test_a_child_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait()
    child.wait(timeout=30)
    assert not child.is_running()


def test_a_main_process_has_no_parent():
    with pytest.raises(RuntimeError, match="got a main process"):
        end_with_parent()
