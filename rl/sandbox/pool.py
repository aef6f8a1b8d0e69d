"""Runs programs in the sandbox: a few launchers, results in order, and a deadline for all of them.

A launcher is a clean interpreter, never a fork of this process, which may hold a GPU. Launchers
start with the first program and are kept; each ends when its input does, with this process.
"""

import atexit
import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

from rl.errors import InputError
from rl.sandbox.isolation import Limits
from rl.sandbox.launcher import Setup, setup_text

Ending = Literal["finished", "failed", "timed_out", "printed_too_much", "not_run"]

LIMITS = Limits(seconds=5.0, memory_bytes=2**30, file_bytes=2**24, output_bytes=2**14)
PACKAGES = ("sympy", "mpmath", "numpy")  # what a program may import beside the standard library
MAX_LAUNCHERS = 16
_MAX_CHARACTERS = 100_000
_MAX_CACHED = 4096
_MAX_CUT_SHORT = 16  # the rewards of a group may take turns
_START_SECONDS = 60.0
_GRACE_SECONDS = 20.0  # beyond a program's own: SymPy is loaded in them when it is first wanted
_ADVICE = (
    "Run on Linux (x86_64 or aarch64) where a user may make namespaces: see the sysctls "
    "user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    "kernel.apparmor_restrict_unprivileged_userns; in a container as root with CAP_SYS_ADMIN. "
    "Or leave out what runs programs: it never runs them without."
)
# What a program could do if the sandbox had a hole, each of which must fail. Calls must with EPERM,
# the filter's refusal: any other error, as of a file that is not there, is past the filter.
_PROBE = """
import errno, fcntl, os, socket
files = {
    "read /etc/passwd": lambda: open("/etc/passwd"),
    "see processes": lambda: os.listdir("/proc"),
    "write to its root": lambda: open("/file", "w"),
}
calls = {
    "open a socket": lambda: socket.socket(),
    "start a process": os.fork,
    "run another program": lambda: os.execv("/bin/true", ["true"]),
    "lock a file that all see": lambda: fcntl.lockf(open(os.__file__), fcntl.LOCK_SH),
}
for name, attempt in {**files, **calls}.items():
    try:
        attempt()
    except OSError as error:
        if name in files or error.errno == errno.EPERM:
            continue
    print(name)
open("file", "w").write("its own")
print("end")
"""


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """What became of a program.

    Attributes:
        stdout: What it printed, up to the limit; bytes that are no UTF-8 as U+FFFD.
        ended: "finished": by itself, with status 0; "failed": with another one, by an exception or
            a signal, or it was too long to be run; "timed_out" and "printed_too_much": it was
            killed; "not_run": the deadline of all programs came first.
    """

    stdout: str
    ended: Ending


class LauncherLost(RuntimeError):
    """A launcher ended, or gave no answer in time."""


def run_programs(
    programs: Sequence[str], limits: Limits = LIMITS, max_seconds: float | None = None
) -> list[ProgramResult]:
    """Run programs in Python, each alone in a sandbox, a few at a time.

    A program sees the standard library and `PACKAGES`, an empty folder that it works in, and
    nothing else: no file, network or process of the machine. The functions of `random` and
    `numpy.random` begin alike each time; `random.Random()`, `numpy.random.default_rng()` and
    `secrets` do not.

    So that what is paid for a program stays the same while its group is looked at, it is not run
    again: the latest 4,096 results are kept, as long as this process. What was not run for want of
    time stays so where the same call comes again soon, and is run in any other.

    Args:
        programs: Their texts. Equal ones are run once. As many run at a time as there are CPU cores
            for each local rank, at most 16 (`MAX_LAUNCHERS`).
        limits: Of each.
        max_seconds: For all together; what has not begun by then is not run. None: no such limit.

    Returns:
        A result for each, in order.

    Raises:
        InputError: If the sandbox cannot be had here.
    """
    call = (limits, tuple(programs), max_seconds)
    if call in _cut_short:
        return list(_cut_short[call])
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    pool = _pool_for(limits)
    new = [text for text in dict.fromkeys(programs) if (limits, text) not in _results]
    with ThreadPoolExecutor(pool.num_launchers) as threads:
        fresh = dict(zip(new, threads.map(lambda t: pool.run(t, deadline), new), strict=True))
    results = [fresh[t] if t in fresh else _results[limits, t] for t in programs]
    for text, result in zip(programs, results, strict=True):
        if result.ended != "not_run":
            _keep(_results, (limits, text), result, _MAX_CACHED)
    if any(result.ended == "not_run" for result in results):
        _keep(_cut_short, call, results, _MAX_CUT_SHORT)
    return list(results)


def require_sandbox(limits: Limits = LIMITS) -> None:
    """Start a launcher, unless there is one, and let a program try to break out.

    Raises:
        InputError: If a layer of the sandbox cannot be had here, or does not hold.
    """
    _pool_for(limits).start()


def close_sandbox() -> None:
    """End all launchers and forget all results; the next program starts another one."""
    for pool in _pools.values():
        pool.close()
    _pools.clear()
    _results.clear()
    _cut_short.clear()


@dataclass
class Launcher:
    """A launcher's process, seen from here; use it from one thread at a time.

    Attributes:
        limits: Of every program.
    """

    limits: Limits
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)
    _packages: list[str] = field(init=False)
    _rest: bytes = b""

    def __post_init__(self) -> None:
        root = str(Path(__file__).parents[2])
        code = f"import sys; sys.path.insert(0, {root!r}); import rl.sandbox.launcher as launcher"
        folders = package_folders()
        self._packages = [name for name in PACKAGES if any(Path(f).name == name for f in folders)]
        setup = Setup(packages=folders, limits=asdict(self.limits))
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        kept = {n: os.environ[n] for n in ("LD_LIBRARY_PATH",) if n in os.environ}
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-s",
                "-S",
                "-P",
                "-B",
                "-c",
                f"{code}; launcher.main()",
                setup_text(setup),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PYTHONHASHSEED": "0", **threads, **kept},
            start_new_session=True,  # Ctrl-C is for this process
        )
        self._answer(_START_SECONDS)

    def run(self, program: str) -> ProgramResult:
        """Run a program.

        Raises:
            InputError: If the sandbox cannot be had for it.
            LauncherLost: If the launcher ended.
        """
        text = program.encode("utf-8", "surrogatepass")
        load = [name for name in self._packages if name in program]
        header = json.dumps({"load": load, "num_bytes": len(text)}).encode()
        try:
            _write_all(self._process, header + b"\n" + text)
        except BrokenPipeError:
            raise LauncherLost("it ended") from None
        answer = self._answer(self.limits.seconds + _GRACE_SECONDS)
        return ProgramResult(stdout=answer["stdout"], ended=answer["ended"])

    def close(self) -> None:
        """End it, and with it the program that it runs."""
        for pipe in (self._process.stdin, self._process.stdout):
            # What was not written yet is wanted by nobody.
            with contextlib.suppress(BrokenPipeError):
                pipe.close() if pipe else None
        self._process.kill()
        self._process.wait()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline, source = time.monotonic() + seconds, self._process.stdout.fileno()
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([source], [], [], left)[0]:
                self.close()
                raise LauncherLost(f"no answer in {seconds:g} s")
            chunk = os.read(source, 65_536)
            if not chunk:
                self.close()
                raise LauncherLost(f"it ended with status {self._process.returncode}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if "refused" in answer:
            self.close()
            raise InputError(
                f"sandbox: got {answer['reason']!r} for {answer['refused']}, expected a system "
                f"that grants it. {_ADVICE}"
            )
        return answer


@dataclass
class Pool:
    """Launchers for programs of the same limits.

    Attributes:
        limits: Of every program.
        num_launchers: Programs that run at a time.
    """

    limits: Limits
    num_launchers: int
    owner: int = field(default_factory=os.getpid)
    _idle: "SimpleQueue[Launcher]" = field(default_factory=SimpleQueue, repr=False)
    _is_proved: bool = False

    def start(self) -> None:
        """Prove once that the sandbox holds.

        Raises:
            InputError: If it does not.
        """
        if self._is_proved:
            return
        result = self.run(_PROBE, None)
        *broken_out, end = result.stdout.splitlines() or [""]
        if broken_out or end != "end" or result.ended != "finished":
            could = ", ".join(broken_out) or f"do nothing: it {result.ended}"
            raise InputError(
                f"sandbox: got a program that could {could}, expected one shut in. {_ADVICE}"
            )
        self._is_proved = True

    def run(self, program: str, deadline: float | None) -> ProgramResult:
        """Run a program when a launcher is free.

        Raises:
            InputError: If the sandbox cannot be had.
        """
        if len(program) > _MAX_CHARACTERS:
            return ProgramResult(stdout="", ended="failed")
        for is_last_try in (False, True):  # a launcher may be killed for no fault of the program
            if deadline is not None and time.monotonic() >= deadline:
                return ProgramResult(stdout="", ended="not_run")
            try:
                with self._launcher() as launcher:
                    return launcher.run(program)
            except LauncherLost as lost:
                if is_last_try:
                    raise InputError(
                        f"sandbox: got a launcher that was lost twice ({lost}), expected one that "
                        "answers. Look at the memory of the machine and at its log."
                    ) from lost
        raise AssertionError

    def close(self) -> None:
        """End the launchers that are idle, if they are this process's."""
        if self.owner != os.getpid():
            return
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    @contextlib.contextmanager
    def _launcher(self) -> Iterator[Launcher]:
        """Lend a launcher; one that is lost or refused does not come back."""
        try:
            launcher = self._idle.get_nowait()
        except Empty:
            launcher = Launcher(self.limits)
        yield launcher
        self._idle.put(launcher)


def package_folders() -> list[str]:
    """Return the folders of the packages that programs may import, of those that are installed."""
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        for place in (spec and spec.submodule_search_locations) or ():
            libraries = Path(place).with_name(f"{name}.libs")  # NumPy's, beside it
            found += [str(path) for path in (Path(place), libraries) if path.is_dir()]
    return found


def _keep(kept: "OrderedDict[Any, Any]", key: Any, value: Any, most: int) -> None:
    """Keep a value as the newest, and forget the oldest beyond a number of them."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _write_all(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def _pool_for(limits: Limits) -> Pool:
    if sys.platform != "linux":
        raise InputError(f"sandbox: got {sys.platform}, expected linux. {_ADVICE}")
    pool = _pools.get(limits)
    # A forked child, such as a data loader's worker, inherits this object but not its launchers.
    if pool is None or pool.owner != os.getpid():
        num_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        num_launchers = len(os.sched_getaffinity(0)) // num_ranks
        pool = _pools[limits] = Pool(limits, max(1, min(MAX_LAUNCHERS, num_launchers)))
    pool.start()
    return pool


_pools: dict[Limits, Pool] = {}
_results: "OrderedDict[tuple[Limits, str], ProgramResult]" = OrderedDict()
# Calls of `run_programs` whose time was over before all of their programs had begun.
_cut_short: "OrderedDict[tuple[Limits, tuple[str, ...], float | None], list[ProgramResult]]"
_cut_short = OrderedDict()
atexit.register(close_sandbox)
