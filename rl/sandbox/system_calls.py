"""The system calls a program may make, as a filter for the kernel: anything else is refused.

Numbers are those of Linux's headers, asm/unistd_64.h and asm-generic/unistd.h. What a program in
Python with SymPy and NumPy makes is allowed, on files and memory of its own. Not among them, so
that it fails with "operation not permitted": sockets of any kind, new processes and threads, other
programs, signals to other processes, mounts, namespaces, tracing, keys, timers of the kernel, BPF,
io_uring, System V's and POSIX's shared memory, devices (`ioctl`).

Of `fcntl` a program has what concerns its descriptors alone. Locks, leases and signals of files are
refused: all programs see the interpreter's files, and could tell each other by them what they know.
"""

import struct
from collections.abc import Sequence

# A machine, as the kernel names it (linux/audit.h), and its numbers; the number 436 and above are
# the same everywhere.
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Name: number on x86_64, on aarch64; None where a machine has no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # files
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "getdents64": (217, 61),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "getcwd": (79, 17),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rmdir": (84, None),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "ftruncate": (77, 46),
    "fsync": (74, 82),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "umask": (95, 166),
    # memory
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    # time
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "alarm": (37, None),
    # signals of its own
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    # what it is, and its end
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getcpu": (309, 168),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "getrandom": (318, 278),
    "futex": (202, 98),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# Commands of fcntl (linux/fcntl.h, asm-generic/fcntl.h), the same on both machines.
_ALLOWED_FCNTL = {
    "F_DUPFD": 0,
    "F_GETFD": 1,
    "F_SETFD": 2,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "F_DUPFD_CLOEXEC": 1030,
}
# Instructions of classic BPF (linux/bpf_common.h), and what a filter returns (linux/seccomp.h).
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # refused with EPERM, which is 1
# In struct seccomp_data; of fcntl's second argument, a 32-bit number, the low half comes first.
_NUMBER_AT, _ARCH_AT, _COMMAND_AT = 0, 4, 24


def allowed_numbers(machine: str) -> dict[str, int]:
    """Return name -> number of the system calls that are allowed.

    Args:
        machine: As `os.uname` names it.

    Raises:
        KeyError: If it is neither x86_64 nor aarch64.
    """
    column = list(_AUDIT_ARCH).index(machine) if machine in _AUDIT_ARCH else None
    if column is None:
        raise KeyError(machine)
    numbers = {name: of_machines[column] for name, of_machines in _ALLOWED.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def filter_program(machine: str) -> bytes:
    """Assemble the filter: a call of another kind of machine kills, one not listed is refused.

    Calls of x86_64's 32-bit kinds are of another machine or have other numbers, so none is allowed.

    Returns:
        An array of struct sock_filter {code: 2 bytes, jump if true: 1, if false: 1, value: 4}.

    Raises:
        KeyError: As `allowed_numbers`.
    """
    numbers = allowed_numbers(machine)
    fcntl, others = numbers["fcntl"], [n for name, n in numbers.items() if name != "fcntl"]
    steps = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 0, len(_ALLOWED_FCNTL) + 3, fcntl),
        (_LOAD, 0, 0, _COMMAND_AT),
        *_allow_one_of(list(_ALLOWED_FCNTL.values())),
        *_allow_one_of(others),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _allow_one_of(values: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Allow if what was loaded is one of some values, else refuse: as many steps and two more."""
    return [
        # To the last step, past the values that are left and the refusal.
        *((_JUMP_IF_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
