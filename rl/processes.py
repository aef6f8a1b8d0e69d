"""Work shared among processes: what one does for all, and children that end with their parent."""

import atexit
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from tqdm import tqdm

from rl.errors import InputError
from rl.with_parent import end_with_parent_process

# What starts ranks, as it stands in a command line.
LAUNCHERS = ("accelerate", "torchrun", "torch.distributed", "deepspeed")

# What ranks are given at a time: few, as items may hold images.
_NUM_ITEMS, _SECONDS_OF_ITEMS = 32, 5.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def with_progress(items: Iterable[Item], what: str, unit: str) -> Iterable[Item]:
    """Show a bar on the main process while items are gone through, if it takes two seconds."""
    is_hidden = not PartialState().is_main_process
    return tqdm(items, desc=what, unit=unit, delay=2, leave=False, disable=is_hidden)


def from_main_process(work: Generator[None, None, Result]) -> Result:
    """Run a generator on the main process alone and give what it returns to every rank.

    The other ranks wait for one step of it at a time, so that work of hours does not run into the
    time limit of collective calls; a step should take minutes at most.

    Args:
        work: Yields between steps; not started on other ranks than the main one.

    Returns:
        What it returns; a copy on other ranks, which should be small.
    """
    state = PartialState()
    message: list = [None]
    while not message[0]:
        if state.is_main_process:
            try:
                next(work)
            except StopIteration as end:
                message = [(end.value,)]
        if state.num_processes > 1:
            broadcast_object_list(message)
    return message[0][0]


def each_from_main_process(items: Iterable[Item]) -> Iterator[Item]:
    """Go through items on the main process alone and give each to every rank, as they come.

    The other ranks wait for some items or some seconds of them at a time (`from_main_process`).

    Args:
        items: Not begun on other ranks than the main one. A single item should take minutes at
            most.

    Raises:
        InputError: On every rank, if going through them does.
    """
    state = PartialState()
    if state.num_processes == 1:
        yield from items
        return
    source, is_end = iter(items), False
    while not is_end:
        message: list = [None]
        if state.is_main_process:
            message = [_taken(source)]
        broadcast_object_list(message)
        taken, is_end, error = message[0]
        yield from taken
        if error:
            raise InputError(error)


def _taken(source: Iterator[Item]) -> tuple[list[Item], bool, str]:
    """Take items for some seconds: they, whether there are no more, and what was wrong."""
    taken: list[Item] = []
    until = time.monotonic() + _SECONDS_OF_ITEMS
    try:
        for item in source:
            taken.append(item)
            if len(taken) == _NUM_ITEMS or time.monotonic() > until:
                return taken, False, ""
    except InputError as error:
        return taken, True, str(error)
    return taken, True, ""


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however that ended.

    For a process started by `multiprocessing`, also through a fork server. Nothing is cleaned up:
    there is nobody left to report to.

    Raises:
        RuntimeError: If this process was not started by `multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent: got a main process, expected one with a parent.")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end_with_parent", daemon=True).start()


def end_with_launcher() -> None:
    """Get SIGTERM, which a run answers by saving and ending, when its launcher is gone.

    `accelerate launch` and `torchrun` that are killed would leave the run behind. A run that was
    started by a shell or a scheduler may outlive it, as one under `nohup` should.
    """
    parent = os.getppid()
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes().decode(errors="replace")
    except OSError:  # another system, or a parent that is gone
        return
    if sys.platform == "linux" and any(name in command for name in LAUNCHERS):
        end_with_parent_process(parent)


def end_rank() -> None:
    """End a rank whose work is done, and do nothing on a process that is alone.

    What is registered for the end is done, but the interpreter is not taken apart: threads of gloo
    and DeepSpeed that still run then abort the process now and then, and the launcher would report
    a run that is complete as failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
