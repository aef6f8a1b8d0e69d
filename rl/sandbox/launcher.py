"""The small process that starts programs: reads them from its input, writes what became of them.

`rl.sandbox.pool` starts it with a clean interpreter, which shuts itself off from the machine and
then forks for each program, one at a time: a supervisor, with process numbers and a file system of
the program's own, and the program, which it kills at the deadline. For each comes a line of JSON,
{"load": [package, ...], "num_bytes": N}, and a text of so many bytes; a line of JSON goes back.
"""

import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import time
import types
from dataclasses import asdict, dataclass
from typing import Any

from rl.sandbox.isolation import (
    WORK,
    Limits,
    Refused,
    be_killed_first,
    give_up_rights,
    leave_the_machine,
    start_anew,
)

# Loaded once, so that programs need not: what most of them import, and what `compile` imports.
_PRELOADED = ("collections", "datetime", "decimal", "fractions", "functools", "hashlib", "heapq")
_PRELOADED += ("itertools", "math", "cmath", "bisect", "re", "statistics", "string", "traceback")
_PRELOADED += ("typing", "operator", "encodings.idna", "linecache", "signal")
_CHUNK = 65_536


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a launcher is given when it starts.

    Attributes:
        packages: Folders of packages that programs may import.
        limits: Of every program.
    """

    packages: list[str]
    limits: dict[str, Any]


def serve(setup: Setup) -> None:
    """Shut this process off, say whether it worked, and run programs until the input ends."""
    limits = Limits(**setup.limits)
    library = [path for path in sys.path if os.path.isdir(path)]
    shown = [os.path.dirname(os.path.dirname(os.__file__)), *library]  # with what packages link to
    for name in _PRELOADED:
        importlib.import_module(name)
    try:
        be_killed_first()
        site = [os.path.join(p, d) for p in library for d in ("site-packages", "dist-packages")]
        leave_the_machine(shown, site, setup.packages)
    except Refused as refused:
        _say(refused=refused.layer, reason=refused.reason)
        return
    folders = dict.fromkeys(os.path.dirname(path) for path in setup.packages)
    sys.path[:] = [*library, *folders]
    _say(ready=True)
    while header := _read_line():
        order = json.loads(header)
        for name in order["load"]:  # for this program and those that come after it
            with contextlib.suppress(ImportError):  # the program will find out
                importlib.import_module(name)
        gc.freeze()  # so that a collection in a child does not copy all that is shared with it
        supervisor = os.fork()
        if supervisor == 0:
            # Read here, so that no program finds others in the memory it has from the launcher.
            _supervise(_read(order["num_bytes"]).decode("utf-8", "surrogatepass"), limits)
        _, status = os.waitpid(supervisor, 0)
        if status != 0:
            return  # the pool sees the input end


def _supervise(program: str, limits: Limits) -> None:
    """Run a program in a child, say what became of it, and end this process."""
    try:
        null = start_anew(limits.file_bytes)
        reading, writing = os.pipe()
        refusal, refusing = os.pipe()
        child = os.fork()
        if child == 0:
            _become(program, limits, null, writing, refusing)
        os.close(writing)
        os.close(refusing)
        ended, output = _follow(child, reading, limits)
        if refused := os.read(refusal, _CHUNK):
            raise Refused(*json.loads(refused))
        _say(ended=ended, stdout=output.decode("utf-8", "replace"))
    except Refused as refused:
        _say(refused=refused.layer, reason=refused.reason)
    os._exit(0)


def _follow(child: int, reading: int, limits: Limits) -> tuple[str, bytes]:
    """Read what a program prints until it ends, prints too much or runs out of time; then kill it.

    A child that is the first of its process numbers takes all others with it.
    """
    deadline = time.monotonic() + limits.seconds
    events = select.poll()
    events.register(reading, select.POLLIN)
    events.register(0, 0)  # the pool's end of our input: nobody waits for the program any more
    output, ended, status = b"", "", None
    while not ended and status is None:
        left = deadline - time.monotonic()
        ready = dict(events.poll(max(0.0, 1000 * left)))
        if 0 in ready:
            ended = "not_run"
        elif left <= 0 or not ready:
            ended = "timed_out"
        elif chunk := os.read(reading, _CHUNK):
            output += chunk
            ended = "printed_too_much" if len(output) > limits.output_bytes else ""
        else:
            status = _wait(child, deadline)
            ended = "timed_out" if status is None else ""
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ended or ("finished" if status == 0 else "failed"), output[: limits.output_bytes]


def _wait(child: int, deadline: float) -> int | None:
    """Wait for a program that has closed its output; None where it does not end in time."""
    pause = 0.0005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _become(program: str, limits: Limits, null: int, writing: int, refusing: int) -> None:
    """Turn this process into the program, whose end is its own.

    What cannot be had for it goes to a pipe that the program does not have.
    """
    status = 1
    try:
        os.setsid()  # a signal to "its group" would reach the supervisor
        os.dup2(null, 0)
        os.dup2(writing, 1)
        os.dup2(null, 2)
        os.dup2(refusing, 3)
        os.closerange(4, 1 << 20)
        os.environ.clear()
        os.environ.update(HOME=WORK, TMPDIR=WORK, LANG="C.UTF-8")
        random.seed(0)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed(0)
        give_up_rights(limits)
        os.close(3)
        status = _execute(program)
    except Refused as refused:
        os.write(3, json.dumps(refused.args).encode())
    except BaseException:  # noqa: BLE001 - whatever it raises is the program's failure
        status = 1
    finally:
        os._exit(status)


def _execute(program: str) -> int:
    module = types.ModuleType("__main__")
    sys.modules["__main__"], sys.argv = module, ["program.py"]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as it runs
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    status: Any = 0
    try:
        exec(compile(program, "program.py", "exec"), module.__dict__)
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdout.flush()
    return 0 if status in (None, 0) else 1


def _read_line() -> bytes:
    """Read a line and nothing after it; nothing at the input's end."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return b""
        line += byte
    return line


def _read(num_bytes: int) -> bytes:
    read = b""
    while len(read) < num_bytes:
        read += os.read(0, num_bytes - len(read)) or sys.exit("the input ended within a program")
    return read


def _say(**values: Any) -> None:
    """Write an answer; where the pool is gone nobody waits for it, and the input ends too."""
    left = (json.dumps(values) + "\n").encode()
    with contextlib.suppress(BrokenPipeError):
        while left:
            left = left[os.write(1, left) :]


def setup_text(setup: Setup) -> str:
    """Write a setup as the argument that `main` reads."""
    return json.dumps(asdict(setup))


def main() -> None:
    """Serve with the setup that the command line names; what the folder of `rl` holds is hidden."""
    sys.path.pop(0)
    serve(Setup(**json.loads(sys.argv[1])))
