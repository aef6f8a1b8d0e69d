"""Work that one process does for all of them."""

from collections.abc import Generator
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

Result = TypeVar("Result")


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
