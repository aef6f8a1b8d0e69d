"""Deadlines for what may hang: one line says who waited for what, and the process ends."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rl.errors import TIMED_OUT


@dataclass(frozen=True)
class _Deadline:
    at: float  # seconds of `time.monotonic`
    message: str
    thread: int


class _Watch:
    """Looks at all open deadlines from a thread of its own, started with the first of them."""

    def __init__(self) -> None:
        self.open: dict[int, _Deadline] = {}
        self.numbers = count()
        self.changed = threading.Condition()
        self.process = 0

    def add(self, deadline: _Deadline) -> int:
        with self.changed:
            number = next(self.numbers)
            self.open[number] = deadline
            if self.process != os.getpid():  # a forked child has no copy of the thread
                self.process = os.getpid()
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()
            self.changed.notify()
        return number

    def remove(self, number: int) -> None:
        with self.changed:
            self.open.pop(number, None)

    def _run(self) -> None:
        with self.changed:
            while True:
                first = min(self.open.values(), key=lambda d: d.at, default=None)
                now = time.monotonic()
                if first is not None and first.at <= now:
                    _end(first)
                self.changed.wait(None if first is None else first.at - now)


_watch = _Watch()


@contextmanager
def deadline(what: str, seconds: float, setting: str) -> Iterator[None]:
    """End this process, with status 124 and one line, if a block takes longer.

    Nothing can be cleaned up: what hangs may hold any lock. Children end with their parent, the
    launcher ends the other ranks, and the run goes on from its newest checkpoint.

    Args:
        what: What is waited for.
        seconds: Most of them; 0 for no limit.
        setting: The field that sets them.
    """
    if not seconds:
        yield
        return
    rank = os.environ.get("RANK", "0")
    message = (
        f"error: {what}: got no end after {seconds:g} s on rank {rank}, expected one. Raise "
        f"{setting} (0: no limit) if it may take that long"
    )
    number = _watch.add(
        _Deadline(time.monotonic() + seconds, message, threading.current_thread().ident or 0)
    )
    try:
        yield
    finally:
        _watch.remove(number)


def sampling_deadline(seconds: float) -> AbstractContextManager[None]:
    """Return the deadline of one call to sample completions; see `deadline`.

    Args:
        seconds: The setting `max_sampling_seconds`.
    """
    return deadline("sampling", seconds, "max_sampling_seconds")


def _end(late: _Deadline) -> None:
    frame = sys._current_frames().get(late.thread)
    at = f"; it was at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
    os.write(2, f"\n{late.message}{at}.\n".encode())
    os._exit(TIMED_OUT)
