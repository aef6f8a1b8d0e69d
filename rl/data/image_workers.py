"""Check images of unknown origin in worker processes, which are killed at a deadline.

A decoder is C code that reads whatever a file says. One that hangs, takes all memory or breaks ends
its worker and costs one image; an image that has passed is decoded in the process from then on.
Workers are started with the first image, from nothing, and kept until `close`.
"""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import NamedTuple

from pebble import ProcessExpired, ProcessPool

from rl.answers.workers import FreshWorkerContext, limit_process
from rl.data.image_checks import MAX_ASPECT_RATIO, CheckedImage, checked_image
from rl.errors import InputError

# For a batch, and for an image of a batch that did not end. The largest allowed takes a second, or
# ten where it is encoded anew; the rest is for a busy machine.
MAX_SECONDS = 60.0
# What a worker may take more than it has when it starts: of 40 million pixels several copies.
MAX_MEMORY_BYTES = 2 * 2**30
MAX_WORKERS = 8
_BATCH_SIZE = 8
_BATCH_BYTES = 16 * 2**20


class UncheckedImage(NamedTuple):
    """An encoded image of unknown origin.

    Attributes:
        data: Its bytes.
        name: What it is called in an error.
        where: The row and column, for the error.
        max_aspect_ratio: Most by which the longer side may exceed the shorter.
    """

    data: bytes
    name: str
    where: str
    max_aspect_ratio: float = MAX_ASPECT_RATIO


@dataclass
class ImageWorkers:
    """Processes that call `checked_image`.

    Raises `BrokenProcessPool` where no worker can be started.

    Attributes:
        max_seconds: Wall-clock time of a batch, and then of an image alone.
        max_memory_bytes: What a worker may take more than it starts with.
        prepare: Called in each worker as it starts.
    """

    max_seconds: float = MAX_SECONDS
    max_memory_bytes: int = MAX_MEMORY_BYTES
    prepare: Callable[[], None] | None = None
    _pool: ProcessPool | None = field(default=None, repr=False)
    _num_workers: int = field(default=0, repr=False)

    def check(self, images: Sequence[UncheckedImage]) -> Iterator[CheckedImage | InputError]:
        """Check images, many at a time; their bytes are held by this process and once by a worker.

        Yields:
            For each image, in order, what `checked_image` returns or raises; an error too where it
            did not end in time, or its worker died of it twice.
        """
        batches = list(_batches(images))
        if batches:
            self._start(len(batches))
        asked = [self._ask(batch) for batch in batches]
        for batch, future in zip(batches, asked, strict=True):
            answer = self._answer(future)
            if isinstance(answer, list):
                yield from answer
            else:  # one of them hangs or kills the worker; the others are kept
                alone = [self._ask([image]) for image in batch]
                yield from map(self._last_answer, batch, alone)

    def close(self) -> None:
        """Stop the workers; the next image starts others."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
        self._pool = None

    def _start(self, num_batches: int) -> ProcessPool:
        """Have as many workers as batches and processors need, whatever became of earlier ones."""
        num_workers = max(1, min(MAX_WORKERS, len(os.sched_getaffinity(0)), num_batches))
        if self._pool is None or not self._pool.active or self._num_workers < num_workers:
            self.close()
            self._pool = ProcessPool(
                max_workers=num_workers,
                initializer=_set_up_worker,
                initargs=(self.max_memory_bytes, self.prepare),
                context=FreshWorkerContext(),
            )
            self._num_workers = num_workers
        return self._pool

    def _ask(self, batch: Sequence[UncheckedImage]) -> Future:
        return self._start(1).schedule(_check_all, args=(batch,), timeout=self.max_seconds)

    def _answer(self, future: Future) -> list[CheckedImage | InputError] | str:
        """Return what a worker found, or why it found nothing."""
        try:
            return [InputError(one) if isinstance(one, str) else one for one in future.result()]
        except TimeoutError:
            return f"which takes more than {self.max_seconds:g} seconds to decode"
        except MemoryError:
            return "which takes too much memory to decode"
        except ProcessExpired:
            return "of which its decoder dies"
        except BrokenProcessPool:  # the worker died before it took the image
            self.close()
            self._ask([]).result()  # raises if no worker can start on this machine at all
            return "of which its decoder dies"

    def _last_answer(self, image: UncheckedImage, future: Future) -> CheckedImage | InputError:
        answer = self._answer(future)
        if isinstance(answer, list):
            return answer[0]
        return InputError(
            f"{image.where}: got {image.name}, {answer}, expected a whole image. Replace it."
        )


def _batches(images: Sequence[UncheckedImage]) -> Iterator[list[UncheckedImage]]:
    batch: list[UncheckedImage] = []
    num_bytes = 0
    for image in images:
        if batch and (len(batch) == _BATCH_SIZE or num_bytes + len(image.data) > _BATCH_BYTES):
            yield batch
            batch, num_bytes = [], 0
        batch.append(image)
        num_bytes += len(image.data)
    if batch:
        yield batch


def _set_up_worker(max_memory_bytes: int, prepare: Callable[[], None] | None) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:  # of Linux, in pages
        start = int(file.read().split()[0]) * resource.getpagesize()
    limit_process(start + max_memory_bytes)
    if prepare is not None:
        prepare()


def _check_all(images: Sequence[UncheckedImage]) -> list[CheckedImage | str]:
    """Runs in the worker."""
    return [_check(image) for image in images]


def _check(image: UncheckedImage) -> CheckedImage | str:
    try:
        checked = checked_image(*image)
    except InputError as error:
        return str(error)
    # Bytes that were kept are with who asked.
    return checked._replace(data=b"") if checked.data is image.data else checked
