"""Processes that must not outlive the one that started them."""

import multiprocessing
import os
import threading


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
