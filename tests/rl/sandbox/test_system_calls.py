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


def verdict(code, number, arch):
    """Run the filter on one system call, as the kernel would: its three instructions."""
    steps, at, register = list(struct.iter_unpack("HBBI", code)), 0, 0
    while True:
        kind, if_true, if_false, value = steps[at]
        if kind == 0x06:
            return {0x7FFF0000: "allow", 0x00050001: "refuse", 0x80000000: "kill"}[value]
        if kind == 0x20:
            register = {0: number, 4: arch}[value]
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


@pytest.mark.parametrize("machine", ARCH)
def test_nothing_that_leads_out_is_listed(machine):
    out = (
        "socket socketpair connect clone clone3 fork vfork execve execveat kill tkill tgkill mount"
    )
    out += (
        " unshare setns ptrace bpf keyctl prctl ioctl memfd_create io_uring_setup shmget prlimit64"
    )
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
