"""Compare two answers with Math-Verify in a worker process that is killed at a deadline.

The worker is forked from a clean server process (Pebble on the `forkserver` start method), never
from the trainer: it holds no model, no CUDA context and no copy of the user's script. It starts
with the first pair and is kept. A timeout means "not the same" and is counted, and so does a worker
that dies of a pair twice.
"""

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import (
    ForkServerContext,
    ForkServerProcess,
    SpawnContext,
    SpawnProcess,
)

from pebble import ProcessExpired, ProcessPool

_MAX_CHARACTERS = 300
_MAX_NESTING = 8
_MAX_CACHED_PAIRS = 200_000
_MEMORY_BYTES = 4 * 2**30
_CPU_SECONDS = 1_800
_BIG_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[({]*\s*[-+]?\s*\d{4}")
_POWER_TOWER = re.compile(
    r"(?:\^|\*\*)\s*(?:[({][^(){}]*(?:\^|\*\*)|[({]{2}|[\w\\]+\s*(?:\^|\*\*))"
)
_BIG_FACTORIAL = re.compile(r"(?:\d{4}|[)}])\s*!|!\s*!")
_BIG_RANGE = re.compile(r"\\(?:sum|prod|int|lim|[dt]?binom)(?![A-Za-z])")
_MATH_SIGN = re.compile(r"[\d\\^|:/+*=<>-]")
_WORD = re.compile(r"(?<![\\A-Za-z])(?!(?<=\\begin\{)|(?<=\\end\{))[A-Za-z]{2,}")


class AnswerVerificationError(RuntimeError):
    """Too many comparisons ended in a timeout or a crash to trust the votes."""


@dataclass
class VerificationCounters:
    """What happened to the pairs that needed Math-Verify since the process started.

    Attributes:
        num_pairs: Pairs sent to a worker; cached verdicts are not counted again.
        num_timeouts: Pairs among them whose worker was killed at the deadline.
        num_errors: Pairs among them whose worker died or ran out of memory or stack.
        num_skipped: Pairs not sent: an answer in them had timed out before, or the group's limit on
            pairs was reached.
    """

    num_pairs: int = 0
    num_timeouts: int = 0
    num_errors: int = 0
    num_skipped: int = 0

    @property
    def num_failed(self) -> int:
        """Pairs that got no verdict from their worker."""
        return self.num_timeouts + self.num_errors

    def check(self, max_error_ratio: float = 0.5, min_pairs: int = 100) -> None:
        """Stop the run when too many comparisons fail.

        Args:
            max_error_ratio: Largest accepted (num_timeouts + num_errors) / num_pairs, in [0, 1].
            min_pairs: Pairs below which nothing is judged.

        Raises:
            AnswerVerificationError: If the share is larger.
        """
        if self.num_pairs >= min_pairs and self.num_failed > max_error_ratio * self.num_pairs:
            raise AnswerVerificationError(
                f"answer comparisons that timed out or crashed: got {self.num_failed} of"
                f" {self.num_pairs}, expected a share of at most {max_error_ratio:g}. Look at the"
                " answers in the last rollouts; if the machine is overloaded, use fewer processes."
            )


def is_verifiable(text: str) -> bool:
    """Tell whether an answer may be sent to Math-Verify at all.

    Long or deeply nested text, unbalanced braces, control characters, words (Math-Verify drops
    them, so 3 AM would be 3 PM), power towers, large
    factorials, and binomials, sums, products, integrals and limits stay a class of their own: for
    them symbolic work costs more than it could merge.
    """
    if len(text) > _MAX_CHARACTERS or not text.isprintable() or "__" in text:
        return False
    if not _MATH_SIGN.search(text):
        return False
    depth = deepest = 0
    for character in text.replace("\\{", "(").replace("\\}", ")"):
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
        if depth < 0:
            return False
    if depth or deepest > _MAX_NESTING or text.count("{") != text.count("}"):
        return False
    costly = (_BIG_EXPONENT, _POWER_TOWER, _BIG_FACTORIAL, _BIG_RANGE)
    if any(pattern.search(text) for pattern in costly):
        return False
    return not _WORD.search(text)


@dataclass
class PairVerifier:
    """Verdicts of Math-Verify on pairs of answers, cached, one killable worker at a time.

    Attributes:
        deadline_seconds: Wall-clock time after which a pair's worker is killed.
        counters: What happened so far.
    """

    deadline_seconds: float = 1.0
    counters: VerificationCounters = field(default_factory=VerificationCounters)
    _verdicts: dict[tuple[str, str], bool] = field(default_factory=dict, repr=False)
    _slow_answers: set[str] = field(default_factory=set, repr=False)
    _pool: ProcessPool | None = field(default=None, repr=False)
    _pool_owner: int = field(default=0, repr=False)

    def is_same(self, left: str, right: str) -> bool:
        """Compare two answers; symmetric.

        Args:
            left: An answer for which `is_verifiable` holds.
            right: The same.

        Returns:
            Math-Verify's verdict; False after a timeout or two crashes, and False without asking
            for an answer that was part of a timeout before.
        """
        pair = (left, right) if left <= right else (right, left)
        if pair in self._verdicts:
            return self._verdicts[pair]
        if not self._slow_answers.isdisjoint(pair):
            self.counters.num_skipped += 1
            return False
        if len(self._verdicts) >= _MAX_CACHED_PAIRS:
            self._verdicts.clear()
        self._verdicts[pair] = self._ask_worker(pair)
        return self._verdicts[pair]

    def start(self) -> None:
        """Start the worker and wait until it has answered; otherwise the first pair does it."""
        self._started_pool().schedule(_is_same_in_worker, args=("1", "1")).result()

    def clear(self) -> None:
        """Forget all verdicts and slow answers; the worker and the counters stay."""
        self._verdicts.clear()
        self._slow_answers.clear()

    def close(self) -> None:
        """Stop the worker; the next pair starts another one."""
        if self._pool is not None and self._pool_owner == os.getpid():
            self._pool.stop()
            self._pool.join()
        self._pool = None

    def _ask_worker(self, pair: tuple[str, str]) -> bool:
        self.counters.num_pairs += 1
        for _ in range(2):  # a worker may be killed for no fault of the pair
            try:
                return self._result(pair)
            except TimeoutError:
                self.counters.num_timeouts += 1
                self._slow_answers.update(pair)
                return False
            except (MemoryError, RecursionError):
                break
            except ProcessExpired:
                continue
            except BrokenProcessPool:  # the worker died before it took the pair
                self.close()
                self.start()  # raises if no worker can start on this machine at all
        self.counters.num_errors += 1
        return False

    def _result(self, pair: tuple[str, str]) -> bool:
        pool = self._started_pool()
        return pool.schedule(_is_same_in_worker, args=pair, timeout=self.deadline_seconds).result()

    def _started_pool(self) -> ProcessPool:
        # A forked child, such as a data loader's worker, inherits this object but not its pool.
        if self._pool is None or self._pool_owner != os.getpid():
            context = WorkerContext()
            context.set_forkserver_preload(["rl.answers.verifier"])
            self._pool = ProcessPool(max_workers=1, initializer=limit_process, context=context)
            self._pool_owner = os.getpid()
        return self._pool


def limit_process(memory_bytes: int = _MEMORY_BYTES) -> None:
    """Set up a new worker: limited in memory, and mortal.

    The deadline's SIGTERM must end the process even inside a long C call, which a Python handler
    cannot; the CPU limit ends workers whose trainer was killed while they were busy.

    Args:
        memory_bytes: Most of its address space, in which what it has by then is counted.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for kind, limit in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, _CPU_SECONDS)):
        _, highest = resource.getrlimit(kind)
        allowed = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
        resource.setrlimit(kind, (allowed, highest))


def _is_same_in_worker(left: str, right: str) -> bool:
    from rl.answers.verifier import is_same

    return is_same(left, right)


@contextmanager
def _hidden_main_module() -> Iterator[None]:
    """Keep multiprocessing from importing the user's script, and with it torch, in the worker."""
    main = sys.modules["__main__"]
    names = ("__file__", "__spec__")
    saved = {name: getattr(main, name) for name in names if hasattr(main, name)}
    for name in saved:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(main, name, value)


class _ForkedWorker(ForkServerProcess):
    def start(self) -> None:
        with _hidden_main_module():
            super().start()


class WorkerContext(ForkServerContext):
    """Starts workers that do not import the program's main module again.

    All of them in a program come from one server process, which has loaded what the first one asks
    for: what needs other modules belongs into `FreshWorkerContext`.
    """

    Process = _ForkedWorker


class _FreshWorker(SpawnProcess):
    def start(self) -> None:
        with _hidden_main_module():
            super().start()


class FreshWorkerContext(SpawnContext):
    """Starts workers from nothing: slower, and nobody else's."""

    Process = _FreshWorker
