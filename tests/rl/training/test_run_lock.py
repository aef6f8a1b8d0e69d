"""One run per folder, whoever dies."""

import subprocess
import sys

import pytest

from rl.errors import InputError
from rl.training.run_lock import LOCK_FILE, one_run_in

HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_SH)  # as a rank that outlived its main process
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_run_is_refused_until_the_first_is_over(tmp_path):
    with one_run_in(tmp_path / "run"):
        with (
            pytest.raises(InputError, match=r"run, in which another run is at work \(.*process"),
            one_run_in(tmp_path / "run"),
        ):
            pass
        with one_run_in(tmp_path / "other"):
            pass
    with one_run_in(tmp_path / "run"):
        pass


def test_a_run_that_failed_holds_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), one_run_in(tmp_path):
        raise ZeroDivisionError
    with one_run_in(tmp_path):
        pass


def test_one_rank_that_is_left_holds_the_folder_and_a_dead_one_does_not(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / LOCK_FILE)]
    rank = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert rank.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="another run is at work"), one_run_in(tmp_path):
        pass
    rank.kill()
    rank.wait()
    with one_run_in(tmp_path):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="expected a folder that can be written"):  # noqa: SIM117
            with one_run_in(taken):
                pass
