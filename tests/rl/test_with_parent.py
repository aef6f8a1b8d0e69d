"""Commands that end with the process that wants them."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rl.with_parent import command_with_parent, run_or_exit, run_to_its_end

PARENT = """
import subprocess, sys, time
from rl.with_parent import command_with_parent
child = subprocess.Popen(command_with_parent(["sleep", "600"]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_the_command_ends_when_its_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    deadline = time.monotonic() + 30
    while child.name() != "sleep" and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    child.wait(timeout=30)


def test_a_parent_that_is_gone_already_ends_it():
    command = command_with_parent(["true"])
    assert command[3] == str(os.getpid())
    assert subprocess.run(command, check=False).returncode == 0
    command[3] = "1"
    assert subprocess.run(command, check=False).returncode == -signal.SIGTERM


def test_another_rl_in_the_working_folder_is_not_meant(tmp_path):
    (tmp_path / "rl").mkdir()
    (tmp_path / "rl" / "__init__.py").write_text("raise SystemExit('another one')\n")
    assert subprocess.run(command_with_parent(["true"]), cwd=tmp_path, check=False).returncode == 0


SAVING = "trap 'sleep 0.5; echo saved; exit 75' INT; echo up; while :; do sleep 0.05; done"
WAITING = """
import sys
from rl.with_parent import run_to_its_end
sys.exit(run_to_its_end(["bash", "-c", sys.argv[1]]))
"""


def test_a_status_is_handed_back():
    assert run_to_its_end(["bash", "-c", "exit $STATUS"], {**os.environ, "STATUS": "3"}) == 3
    assert run_to_its_end(["bash", "-c", "kill -9 $$"]) == -9


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_what_fails_ends_its_caller_as_in_a_shell(command, status):
    run_or_exit(["true"])
    with pytest.raises(SystemExit) as ended:
        run_or_exit(["bash", "-c", command])
    assert ended.value.code == status


def test_ctrl_c_comes_once_and_what_saves_is_waited_for():
    command = [sys.executable, "-c", WAITING, SAVING]
    parent = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that started these tests in the background lets Ctrl-C be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert parent.stdout.readline() == "up\n"
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does, to the whole group
    assert parent.stdout.read() == "saved\n"
    assert parent.wait() == 75


def test_ctrl_c_while_the_command_starts_is_handed_on(monkeypatch, tmp_path):
    class Slow(subprocess.Popen):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            deadline = time.monotonic() + 30
            while not (tmp_path / "up").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Slow)
    command = f"trap 'exit 75' INT; touch {tmp_path}/up; while :; do sleep 0.05; done"
    assert run_to_its_end(["bash", "-c", command]) == 75
