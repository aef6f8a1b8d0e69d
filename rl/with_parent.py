"""A command that ends with the process that wants it, however that one ended.

`python with_parent.py PARENT COMMAND...` becomes the command. Linux tells it of its parent's death
with SIGTERM, so that it can end its own children too; other systems do not.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent_process(parent: int) -> None:
    """Let the kernel send SIGTERM to this process when its parent is gone; at once if it is gone.

    It outlives `exec`. A process whose parent is another one than expected has lost it already.

    Args:
        parent: Number of the parent process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def command_with_parent(command: list[str]) -> list[str]:
    """Return the command line of a command that ends with this process."""
    # Isolated, and by its path: the working folder may hold another `rl`, this one a `types.py`.
    return [sys.executable, "-I", __file__, str(os.getpid()), *command]


def run_to_its_end(command: list[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit status; negative where a signal ended it.

    Ctrl-C is handed on and the end waited for, since the command may have something to save. The
    command has no input: in a group of its own a terminal would stop it where it asks.

    Args:
        command: What to run; it ends with this process.
        environment: Its environment; None: this process's.
    """
    process, is_interrupted = _start(command, environment)
    while True:
        try:
            if is_interrupted:
                is_interrupted = False
                raise KeyboardInterrupt
            return process.wait()
        except KeyboardInterrupt:
            if process.poll() is not None:
                raise  # it ended as Ctrl-C came, and nothing is to be handed on
            os.killpg(process.pid, signal.SIGINT)


def _start(
    command: list[str], environment: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], bool]:
    """Start a command, and tell whether Ctrl-C came before it could be handed on."""
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        # A group of its own, so that each Ctrl-C comes once, whether a terminal sent it or `kill`.
        process = subprocess.Popen(
            command_with_parent(command), stdin=subprocess.DEVNULL, env=environment, process_group=0
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return process, bool(came)


def run_or_exit(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command as `run_to_its_end` does; if it fails, exit with the status a shell gives."""
    status = run_to_its_end(command, environment)
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


if __name__ == "__main__":
    end_with_parent_process(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
