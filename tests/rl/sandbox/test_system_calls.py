"""The filter, read back instruction by instruction, and its numbers beside the kernel's headers."""

import re
import struct
from pathlib import Path

import pytest

from rl.sandbox.system_calls import allowed_numbers, filter_program

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(code, number, arch, command=0):
    """Run the filter on one system call, as the kernel would: its three instructions.

    Args:
        code: The filter.
        number: Of the call.
        arch: Of the machine.
        command: The second argument's low half.
    """
    steps, at, register = list(struct.iter_unpack("HBBI", code)), 0, 0
    while True:
        kind, if_true, if_false, value = steps[at]
        if kind == 0x06:
            return {0x7FFF0000: "allow", 0x00050001: "refuse", 0x80000000: "kill"}[value]
        if kind == 0x20:
            register = {0: number, 4: arch, 24: command}[value]
        at += 1 + ((if_true if register == value else if_false) if kind == 0x15 else 0)


@pytest.mark.parametrize("machine", ARCH)
def test_what_is_listed_is_allowed_and_nothing_else(machine):
    code, allowed = filter_program(machine), set(allowed_numbers(machine).values())
    found = {n for n in range(600) if verdict(code, n, ARCH[machine]) == "allow"}
    assert found == allowed
    assert verdict(code, 0x40000000, ARCH[machine]) == "refuse"  # read, as x32 has it
    [other] = set(ARCH.values()) - {ARCH[machine]}
    assert {verdict(code, n, other) for n in range(600)} == {"kill"}
    assert verdict(code, 3, 0x40000003) == "kill"  # a call of 32-bit x86


@pytest.mark.parametrize(("machine", "fcntl"), [("x86_64", 72), ("aarch64", 25)])
def test_a_program_may_not_lock_files(machine, fcntl):
    code = filter_program(machine)
    found = {n for n in range(2000) if verdict(code, fcntl, ARCH[machine], n) == "allow"}
    # Copies of a descriptor, its flags; not F_GETLK to F_SETLKW (5 to 7), F_SETOWN (8), F_SETSIG
    # (10), F_OFD_GETLK to F_OFD_SETLKW (36 to 38), F_SETLEASE (1024), F_NOTIFY (1026).
    assert found == {0, 1, 2, 3, 4, 1030}
    assert verdict(code, fcntl, ARCH[machine], 2**32 - 1) == "refuse"
    # The second argument of any other call plays no part.
    assert {verdict(code, allowed_numbers(machine)["read"], ARCH[machine], n) for n in (5, 6)} == {
        "allow"
    }


@pytest.mark.parametrize("machine", ARCH)
def test_nothing_that_leads_out_is_listed(machine):
    out = (
        "socket socketpair connect clone clone3 fork vfork execve execveat kill tkill tgkill mount"
    )
    out += " unshare setns ptrace bpf keyctl prctl ioctl memfd_create io_uring_setup shmget"
    out += " prlimit64 flock"
    assert not set(out.split()) & set(allowed_numbers(machine))


@pytest.mark.parametrize("machine", ARCH)
def test_numbers_are_those_of_the_headers(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[machine].read_text()
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    names = {"newfstatat": "fstatat"} if machine == "aarch64" else {}
    for name, number in allowed_numbers(machine).items():
        assert known[names.get(name, name)] == str(number), name


def test_another_machine_has_no_filter():
    with pytest.raises(KeyError):
        filter_program("riscv64")
