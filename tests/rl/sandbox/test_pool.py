"""Programs that mean harm, what becomes of them, and the processes that run them."""

import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest

from rl.sandbox import LIMITS, close_sandbox, run_programs
from rl.sandbox import pool as pool_module
from rl.sandbox.pool import Launcher, LauncherLost, Pool, package_folders

QUICK = replace(LIMITS, seconds=1.5, memory_bytes=2**29)


def run(*programs):
    return run_programs(programs, QUICK)


def printed(program):
    [result] = run(program)
    assert result.ended == "finished", result
    return result.stdout.strip()


# How a program ends.


@pytest.mark.parametrize(
    ("program", "ended", "stdout"),
    [
        ("", "finished", ""),
        ("print(1 + 1)", "finished", "2\n"),
        ("if __name__ == '__main__': print(7)", "finished", "7\n"),
        ("import sys; print(1); sys.exit()", "finished", "1\n"),
        ("import sys; print(1); sys.exit(3)", "failed", "1\n"),
        ("import sys; sys.exit('why')", "failed", ""),
        ("print(1); 1 / 0", "failed", "1\n"),
        ("raise KeyboardInterrupt", "failed", ""),
        ("def f(:", "failed", ""),
        ("print(input())", "failed", ""),
        ("import os; os.abort()", "failed", ""),
        ("import os; os.write(1, b'a\\xff\\xfeb\\x00')", "finished", "a\ufffd\ufffdb\x00"),
        ("print('\\ud83d')", "finished", "\\ud83d\n"),
        ("print('\ud83d')", "failed", ""),
        ("print(1)\x00", "failed", ""),
        ('print(\'{"ended": "finished", "stdout": "9"}\')\n1 / 0', "failed", None),
        ("(" * 50_000, "failed", ""),
        ("x = " + "-" * 90_000 + "1", "failed", ""),
        ("#" * 100_001, "failed", ""),
        ("import json; json.loads('[' * 10**6)", "failed", ""),
        ("import ctypes; ctypes.string_at(0)", "failed", ""),
        ("import os; os._exit = os.read = lambda *a: b''\nprint('mine')", "failed", "mine\n"),
        ("from rl.sandbox.isolation import Refused; raise Refused('a', 'b')", "failed", ""),
        ("bytearray(2**40)", "failed", ""),
        ("kept = []\nwhile True: kept.append(bytearray(2**20))", "failed", ""),
        ("with open('f', 'w') as f:\n while True: f.write('x' * 2**20)", "failed", ""),
        ("for i in range(10**6): open(str(i), 'w').close()", "failed", ""),
        ("kept = []\nwhile True: kept.append(open('f', 'w'))", "failed", ""),
        ("import os\nwhile True: os.fork()", "failed", ""),
        ("import threading as t; t.Thread(target=print).start()", "failed", ""),
        ("import subprocess; subprocess.run(['/bin/sleep', '9'])", "failed", ""),
    ],
)
def test_every_end_has_a_name(program, ended, stdout):
    [result] = run(program)
    assert result.ended == ended
    assert stdout is None or result.stdout == stdout


def test_what_does_not_end_is_killed():
    ignoring = "import signal, time\nfor s in range(1, 32):\n try: signal.signal(s, lambda *_: 0)\n"
    endless = [
        "print('begun', flush=True)\nwhile True: pass",
        ignoring + " except (OSError, ValueError): pass\ntime.sleep(60)",
        "import os, time; os.close(1); time.sleep(60)",
        "10 ** 10 ** 10",
    ]
    start = time.monotonic()
    results = run(*endless)
    assert [result.ended for result in results] == ["timed_out"] * len(endless)
    assert results[0].stdout == "begun\n"
    assert time.monotonic() - start < 3 * len(endless)


def test_endless_output_is_cut_and_ended():
    [result] = run("while True: print('x' * 1000)")
    assert (result.ended, len(result.stdout)) == ("printed_too_much", QUICK.output_bytes)


# What a program can reach.


TRY = """
import ctypes, fcntl, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
try:
    {}
except OSError as error:
    print("refused")
else:
    print("possible")
"""
ATTEMPTS = """
socket.socket()
socket.socket(socket.AF_UNIX)
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
socket.socket(40, socket.SOCK_STREAM)
socket.socketpair()
os.fork()
os.forkpty()
os.execv(sys.executable, ["python"])
os.posix_spawn("/bin/true", ["true"], {})
os.kill(os.getppid(), 9)
os.kill(0, 9)
os.kill(-1, 9)
os.kill(1, 9)
os.killpg(os.getpgrp(), 9)
os.setuid(0)
os.setsid()
os.chroot(".")
os.mknod("device", 0o020666, os.makedev(1, 1))
os.chmod(".", 0o4777)
os.symlink("/", "out") or os.listdir("out/proc")
os.memfd_create("hidden")
os.nice(-20)
os.sched_setaffinity(0, [0])
os.setpriority(os.PRIO_PROCESS, 0, -20)
os.statvfs("/")
fcntl.lockf(open(os.__file__), fcntl.LOCK_SH)
fcntl.lockf(open(os.__file__), fcntl.LOCK_SH | fcntl.LOCK_NB)
fcntl.fcntl(open(os.__file__), fcntl.F_GETLK, bytes(32))
fcntl.fcntl(open(os.__file__), 37, bytes(32))
fcntl.fcntl(open(os.__file__), 1024, 0)
fcntl.flock(open(os.__file__), fcntl.LOCK_SH)
fcntl.lockf(open("own", "w"), fcntl.LOCK_EX)
call("unshare", 0x10000000)
call("setns", 0, 0)
call("mount", b"none", b".", b"tmpfs", 0, None)
call("umount2", b"/usr/lib", 2)
call("pivot_root", b".", b".")
call("ptrace", 0, 0, 0, 0)
call("prctl", 1, 0, 0, 0, 0)
call("process_vm_readv", 1, None, 0, None, 0, 0)
call("shmget", 0, 4096, 0o1666)
call("syscall", 425, 1, None)
call("syscall", 435, None, 0)
open("/etc/passwd")
open("/proc/self/environ")
open("/dev/sda")
open("/dev/null", "w")
open("/sys/kernel/uevent_seqnum")
open("../../../../etc/passwd")
open("/.former/etc/passwd")
open("/file", "w")
open(os.__file__, "a")
os.mkdir(os.path.dirname(os.__file__) + "/folder")
os.unlink(os.__file__)
os.rename(os.__file__, "os.py")
os.link(os.__file__, "os.py")
os.listdir(os.path.dirname(os.__file__) + "/site-packages/pip")
os.fstat(3)
""".strip().splitlines()
# Of the interpreter's and its packages' own place a program sees the way there.
WAY = {part for path in (sys.prefix, sys.base_prefix) for part in Path(path).parts}
ATTEMPTS += [f"os.listdir('/{name}')" for name in ("home", "tmp", "root", "var") if name not in WAY]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_leads_out(attempt):
    assert printed(TRY.format(attempt)) == "refused"


def test_files_of_the_user_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "token")
    secret = tmp_path / "secret"
    secret.write_text("token")
    places = [secret, Path(__file__), Path(sys.executable), "/etc/hostname"]
    assert printed(f"import os; print([os.path.exists(p) for p in {[*map(str, places)]}])") == str(
        [False] * len(places)
    )
    assert printed("import os; print(sorted(os.environ))") == str(["HOME", "LANG", "TMPDIR"])
    assert printed("import sys; print(len(sys.argv), sys.stdin.read() == '')") == "1 True"
    assert printed("import os; print(os.getuid() != 0, os.getpid(), os.listdir('.'))") == (
        "True 1 []"
    )
    listed = set(printed("import os; print(*os.listdir('/'))").split())
    hidden = {"etc", "home", "proc", "dev", "sys", "tmp", "var", "run", ".former"}
    assert not listed & (hidden - WAY)


def test_flags_of_its_files_are_its_own():
    program = "import fcntl\nfor f in (0, 2):\n print(fcntl.fcntl(f, fcntl.F_GETFL))\n"
    program += " fcntl.fcntl(f, fcntl.F_SETFL, 0x800 | 0x400)"
    launcher = Launcher(QUICK)
    first, second = launcher.run(program), launcher.run(program + "\n# again")
    launcher.close()
    assert first.ended == "finished"
    assert first == second


def test_the_standard_library_and_some_packages_are_there():
    programs = "import json, decimal, sqlite3, zlib\nprint(json.loads('[1]'))"
    assert printed(programs) == "[1]"
    names = {Path(folder).name for folder in package_folders()}
    assert {"sympy", "numpy"} <= names
    assert printed("from sympy import *\nx = symbols('x'); print(solve(x**2 - 4, x))") == "[-2, 2]"
    assert printed("import numpy as np; print(np.linalg.det(np.eye(3)))") == "1.0"
    [result] = run("import torch")
    assert result.ended == "failed"


def test_a_program_finds_nothing_of_the_one_before():
    open_file = (
        "import os; print(os.listdir('.')); open('left', 'w').write('x'); import sys; sys.x = 1"
    )
    again = open_file + "\n# again"
    assert [printed(open_file), printed(again)] == ["[]", "[]"]
    assert printed("import sys; print(hasattr(sys, 'x'))") == "False"
    assert (
        printed("import builtins; builtins.print = None; import sys; sys.stdout.write('1')") == "1"
    )
    assert printed("print(2)") == "2"


# Many programs.


def test_results_come_in_order_and_equal_programs_run_once():
    programs = [
        f"import time; time.sleep({t}); print({t}, time.time_ns())" for t in (0.3, 0.0, 0.1)
    ]
    results = run(*programs, programs[0])
    assert [result.stdout.split()[0] for result in results] == ["0.3", "0.0", "0.1", "0.3"]
    assert results[0] is results[3]
    assert run(*programs) == results[:3]
    close_sandbox()
    assert run(programs[1]) != results[1:2]


def test_what_is_random_is_so_alike():
    program = (
        "import random, numpy; print(random.random(), numpy.random.rand(), hash('a'), {'a', 'b'})"
    )
    first = printed(program)
    close_sandbox()
    assert printed(program) == first


def test_what_comes_after_the_deadline_is_not_run():
    early, *late = "print('early')", "print('late')", "print('later')"
    run(early)
    for _ in range(2):
        results = run_programs([early, *late], QUICK, max_seconds=0.0)
        assert [r.ended for r in results] == ["finished", "not_run", "not_run"]
    assert [r.stdout for r in run(*late)] == ["late\n", "later\n"]  # another group has its own time
    # The first group is looked at again: what it was paid for stays.
    assert run_programs([early, *late], QUICK, max_seconds=0.0) == results


def test_few_results_are_kept(monkeypatch):
    for name in ("_results", "_cut_short"):
        monkeypatch.setattr(pool_module, name, OrderedDict())
    monkeypatch.setattr(pool_module, "_MAX_CACHED", 2)
    monkeypatch.setattr(pool_module, "_MAX_CUT_SHORT", 1)
    assert [r.stdout for r in run("print(1)", "print(2)", "print(3)")] == ["1\n", "2\n", "3\n"]
    assert [text for _, text in pool_module._results] == ["print(2)", "print(3)"]
    run("print(2)", "print(4)")
    assert [text for _, text in pool_module._results] == ["print(2)", "print(4)"]
    for program in ("print(5)", "print(6)"):
        run_programs([program], QUICK, max_seconds=0.0)
    assert [texts for _, texts, _ in pool_module._cut_short] == [("print(6)",)]


# Launchers.


def children(process):
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def test_nothing_is_left_of_a_program():
    launcher = Launcher(QUICK)
    result = launcher.run("import time; time.sleep(60)")
    assert result.ended == "timed_out"
    wait_until(lambda: not children(launcher._process.pid))
    launcher.close()
    with pytest.raises((LauncherLost, ValueError)):
        launcher.run("print(1)")


def test_a_launcher_that_was_killed_is_replaced():
    pool = Pool(QUICK, 1)
    assert pool.run("print(1)", None).stdout == "1\n"
    launcher = pool._idle.get_nowait()
    launcher._process.kill()
    pool._idle.put(launcher)
    assert pool.run("print(2)", None).stdout == "2\n"
    pool.close()


def test_a_program_ends_with_the_process_that_wanted_it():
    code = (
        "from dataclasses import replace\nfrom rl.sandbox import LIMITS\n"
        "from rl.sandbox.pool import Launcher\n"
        "launcher = Launcher(replace(LIMITS, seconds=60.0))\n"
        "print(launcher._process.pid, flush=True)\nlauncher.run('import time; time.sleep(60)')\n"
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    launcher = process.stdout.readline().strip()
    wait_until(lambda: children(launcher) and children(children(launcher)[0]))
    family = [launcher, *children(launcher), *children(children(launcher)[0])]
    assert len(family) == 3
    # Where memory runs out, each of them is to go before the process that trains.
    for member in family:
        assert Path(f"/proc/{member}/oom_score_adj").read_text() == "1000\n"
    process.kill()
    process.wait()
    wait_until(lambda: not any(is_alive(member) for member in family))
    assert process.stderr.read() == ""


def is_alive(process):
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
