"""Decoders that hang, take all memory or die, as a worker has them: a file says which."""

import ctypes
import os
import signal
from pathlib import Path

from PIL import Image, PngImagePlugin

_open_png = PngImagePlugin.PngImageFile._open


def break_decoders() -> None:
    """Let PNG files with a text `does` do that while they are opened."""
    Image.preinit()

    def opened(self: PngImagePlugin.PngImageFile) -> None:
        _open_png(self)
        name, _, argument = self.info.get("does", "").partition(": ")
        _DOES[name](*filter(None, [argument]))

    PngImagePlugin.PngImageFile._open = opened


def _take_memory() -> None:
    held = [bytearray(2**26) for _ in range(2**10)]  # 64 GiB
    raise AssertionError(f"{len(held)} were had")


def _hang_in_c() -> None:
    ctypes.PyDLL(None).sleep(600)  # the interpreter's lock is held


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(path: str) -> None:
    if Path(path).exists():
        Path(path).unlink()
        _die()


def _crash() -> None:
    ctypes.string_at(0)


_DOES = {
    "": lambda: None,
    "hang in C": _hang_in_c,
    "take memory": _take_memory,
    "die": _die,
    "die once": _die_once,
    "crash": _crash,
}


def cannot_start() -> None:
    """Fail as a worker starts."""
    raise ValueError("no worker starts here")
