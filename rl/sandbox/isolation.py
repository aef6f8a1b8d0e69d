"""Shuts a process off: namespaces, a read-only root of the interpreter alone, limits, no rights.

Needs Linux, and either user namespaces for an unprivileged user or root with CAP_SYS_ADMIN. Each
layer that cannot be had raises `Refused`, so that no program runs without it. Imports the standard
library alone: it runs in the launcher's small interpreter (`rl.sandbox.launcher`).
"""

import ctypes
import math
import os
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.sandbox.system_calls import filter_program

WORK = "/.program"  # of a program, empty and its own; no path of the machine has this name
_NULL = WORK + "/null"  # beneath what a program's own folder is mounted over
_OLD = "/.former"
_NOBODY = 65534
# linux/sched.h
_NEW_MOUNTS, _NEW_NAMES, _NEW_IPC = 0x00020000, 0x04000000, 0x08000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
# linux/mount.h
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
# Of a mount from outside: a user namespace may not take them away again.
_KEPT = {"noexec": _NO_EXEC, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
# linux/prctl.h
_PARENT_DEATH_SIGNAL, _DROP_BOUNDING, _NO_NEW_PRIVILEGES, _SECCOMP, _AMBIENT = 1, 24, 38, 22, 47
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64")


class Refused(Exception):
    """A layer of the sandbox cannot be had here.

    Args:
        layer: Which, in words.
        reason: What the system said.
    """

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(layer, reason)
        self.layer, self.reason = layer, reason


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: Wall-clock time, and of the processor.
        memory_bytes: Address space, that of the interpreter included.
        file_bytes: Of all files together; they lie in memory.
        output_bytes: Of what it prints.
    """

    seconds: float
    memory_bytes: int
    file_bytes: int
    output_bytes: int


def be_killed_first() -> None:
    """Let the kernel take this process and its children before any other where memory runs out.

    Raises:
        Refused: If the system does not allow it.
    """
    _write("/proc/self/oom_score_adj", "1000", "to be the first that is killed for memory")


def leave_the_machine(shown: Iterable[str], hidden: Iterable[str], packages: Iterable[str]) -> None:
    """Move this process to namespaces and a root of their own, for good.

    Its new root holds the folders given and the system's libraries, at their own paths, read-only
    all of them; no file of the user, no /proc, no /dev. The null device lies where `start_anew`
    covers it. It has a network without a device.

    Args:
        shown: Folders to show.
        hidden: Folders inside of them to replace by empty ones; those that do not exist are left.
        packages: Folders to show, in hidden ones too.

    Raises:
        Refused: If the system does not allow it.
    """
    _enter_namespaces()
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    folders = [*_LIBRARIES, *shown]
    sources = {path: os.path.realpath(path) for path in (*folders, *packages)}
    _change_root()
    for path in folders:
        _show(path, sources[path])
    for path in hidden:
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _NO_SUID | _NO_DEVICES, "size=64k,mode=755")
    for path in packages:
        _show(path, sources[path])
    os.mkdir(WORK)
    Path(_NULL).touch()
    _mount(_OLD + os.devnull, _NULL, None, _BIND)
    _seal()


def start_anew(num_bytes: int) -> int:
    """Give this process's children process numbers of their own, and all of them an empty `WORK`.

    It lies in memory, holds as many bytes, and is gone with them; this process goes there.

    Returns:
        A descriptor of the null device, opened for them alone: flags of an open file are seen by
        all that have it.

    Raises:
        Refused: If the system does not allow it.
    """
    try:
        null = os.open(_NULL, os.O_RDWR)
    except OSError as error:
        raise Refused("a null device", str(error.strerror)) from error
    _do("a new process namespace", _libc().unshare, _NEW_PROCESSES | _NEW_MOUNTS)
    flags = _NO_SUID | _NO_DEVICES | _NO_EXEC
    _mount("none", WORK, "tmpfs", flags, f"size={num_bytes},nr_inodes=1024,mode=1777")
    os.chdir(WORK)
    return null


def give_up_rights(limits: Limits) -> None:
    """Limit this process and leave it nothing but the allowed system calls, for good.

    Raises:
        Refused: If the system does not allow it.
    """
    machine = os.uname().machine
    try:
        code = filter_program(machine)
    except KeyError:
        raise Refused("a filter of system calls", f"a machine of kind {machine}") from None
    seconds = math.ceil(limits.seconds) + 1
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, highest = resource.getrlimit(kind)
        lowered = most if highest == resource.RLIM_INFINITY else min(most, highest)
        resource.setrlimit(kind, (lowered, lowered))
    _drop_capabilities()
    # Last of what is no filter: a change of user takes it back.
    _prctl("a signal at its parent's end", _PARENT_DEATH_SIGNAL, signal.SIGKILL)
    _prctl("no new privileges", _NO_NEW_PRIVILEGES, 1)
    program = ctypes.create_string_buffer(code, len(code))
    steps = _Program(len(code) // 8, ctypes.addressof(program))
    _prctl("a filter of system calls", _SECCOMP, 2, ctypes.addressof(steps))


def _enter_namespaces() -> None:
    """Enter namespaces that root may make as it is, and a user in one where it has all rights."""
    user, group = os.geteuid(), os.getegid()
    spaces = _NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC | _NEW_NAMES
    # Root in a container may lack the right, or a user "nobody" to become.
    if user == 0 and _is_mapped(_NOBODY) and _libc().unshare(spaces) == 0:
        return
    _do("a new user namespace", _libc().unshare, _NEW_USERS | spaces)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {user} 1"),
        ("gid_map", f"{_NOBODY} {group} 1"),
    ):
        _write(f"/proc/self/{name}", text, "a new user namespace")


def _is_mapped(user: int) -> bool:
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    ranges = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
    return any(first <= user < first + count for first, count in ranges)


class _Program(ctypes.Structure):
    """As linux/filter.h has it: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _drop_capabilities() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
    capability = 0
    while _libc().prctl(_DROP_BOUNDING, capability, 0, 0, 0) == 0:
        capability += 1
    _prctl("no ambient capabilities", _AMBIENT, 4)
    if os.geteuid() == 0:
        try:
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        except OSError as error:
            raise Refused("a user without rights", str(error.strerror)) from error
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    _do("no capabilities", _libc().capset, header, none)


def _change_root() -> None:
    """Take an empty file system for the root; the former one lies at `_OLD`."""
    # Any folder that exists will do: what it holds is beneath the former root again afterwards.
    _mount("none", "/tmp", "tmpfs", _NO_SUID | _NO_DEVICES | _NO_EXEC, "size=1m,mode=755")
    os.mkdir("/tmp" + _OLD)
    os.chdir("/tmp")
    _do("a new root", _libc().pivot_root, b".", _OLD[1:].encode())
    os.chdir("/")


def _show(path: str, source: str) -> None:
    """Show a folder of the former root at its path, or a link of it as the link it is."""
    before = Path(_OLD + path)
    if os.path.isdir(path) or not os.path.isdir(_OLD + source):
        return
    if path in _LIBRARIES and before.is_symlink():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.readlink(before), path)
        return
    os.makedirs(path)
    _mount(_OLD + source, path, None, _BIND | _RECURSIVE)


def _seal() -> None:
    """Make every mount read-only and let go of the former root."""
    for line in Path(_OLD, "proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        # Spaces in a path are written in octal.
        path = fields[4].encode().decode("unicode_escape").encode("latin-1").decode()
        if path == "/" or path == _OLD or path.startswith(_OLD + "/"):
            continue
        kept = sum(flag for name, flag in _KEPT.items() if name in fields[5].split(","))
        devices = 0 if path == _NULL else _NO_DEVICES
        flags = _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | devices | kept
        _mount(None, path, None, flags)
    _do("to let go of the former root", _libc().umount2, _OLD.encode(), _DETACH)
    os.rmdir(_OLD)
    _mount(None, "/", None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    source_, target_, kind_, data_ = texts
    call = _libc().mount
    _do(
        f"mounts of its own ({target})", call, source_, target_, kind_, ctypes.c_ulong(flags), data_
    )


def _prctl(layer: str, *arguments: int) -> None:
    padded = [*arguments, 0, 0, 0, 0][:5]
    _do(layer, _libc().prctl, padded[0], *(ctypes.c_ulong(value) for value in padded[1:]))


def _write(path: str, text: str, layer: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise Refused(layer, f"{path}: {error.strerror}") from error


def _do(layer: str, call: Callable[..., int], *arguments: Any) -> None:
    if call(*arguments) != 0:
        raise Refused(layer, os.strerror(ctypes.get_errno()))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
