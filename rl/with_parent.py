"""A command that ends with the process that wants it, however that one ended.

`python -m rl.with_parent PARENT COMMAND...` becomes the command. Linux tells it of its parent's
death with SIGTERM, so that it can end its own children too; other systems do not.
"""

import ctypes
import os
import signal
import sys

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
    return [sys.executable, "-m", "rl.with_parent", str(os.getpid()), *command]


if __name__ == "__main__":
    end_with_parent_process(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
