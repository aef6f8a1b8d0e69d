"""Where a layer of the sandbox is missing or has a hole, no program is run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rl.errors import InputError
from rl.sandbox import LIMITS, require_sandbox
from rl.sandbox import pool as pool_module
from rl.sandbox.pool import Pool

QUICK = replace(LIMITS, seconds=1.5, memory_bytes=2**29)
PROBE = "from rl.sandbox import require_sandbox, run_programs\n"
PROBE += "require_sandbox()\nprint(run_programs(['import os; print(os.getuid())'])[0].stdout)"


def in_namespace(user, *before):
    """Run the sandbox in a user namespace that has some limits of its own."""
    script = " && ".join([*before, 'exec "$@"'])
    command = [
        "unshare",
        "--user",
        f"--map-user={user}",
        f"--map-group={user}",
        "sh",
        "-c",
        script,
        "sh",
    ]
    command += [sys.executable, "-c", PROBE]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("user", [0, 1000])
def test_a_user_without_rights_has_a_sandbox_too(user):
    process = in_namespace(user)
    assert (process.stdout.strip(), process.stderr) == ("65534", "")


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("user", "a new user namespace"),
        ("net", "a new user namespace"),
        ("mnt", "a new user namespace"),
        ("pid", "a new process namespace"),
    ],
)
def test_without_namespaces_nothing_is_run(kind, layer):
    process = in_namespace(0, f"echo 0 > /proc/sys/user/max_{kind}_namespaces")
    assert process.returncode != 0
    assert process.stdout == ""
    last = process.stderr.splitlines()[-1]
    assert last.startswith(
        f"rl.errors.InputError: sandbox: got 'No space left on device' for {layer}"
    )
    assert "max_user_namespaces" in last


def test_a_script_that_needs_a_sandbox_ends_with_one_line(tmp_path):
    root = Path(__file__).parents[3]
    votes = tmp_path / "votes.jsonl"
    votes.write_text('{"completions": ["1"]}\n')
    script = [str(root / "scripts/vote.py"), str(votes), "--output", str(tmp_path / "out.jsonl")]
    command = ["unshare", "--user", "--map-root-user", "sh", "-c"]
    command += ['echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh", sys.executable]
    process = subprocess.run(
        [*command, *script, "--weight", "own_code"], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout) == (2, "")
    [line] = process.stderr.splitlines()
    assert line.startswith("error: sandbox: got 'No space left on device' for a new user namespace")


@pytest.mark.parametrize(
    ("table", "name", "value", "what"),
    [
        ("_ALLOWED", "socket", (41, 198), "open a socket"),
        ("_ALLOWED", "execve", (59, 221), "run another program"),
        ("_ALLOWED", "clone", (56, 220), "start a process"),
        ("_ALLOWED_FCNTL", "F_SETLKW", 7, "lock a file that all see"),
    ],
)
def test_a_hole_in_the_filter_is_found(table, name, value, what, monkeypatch):
    hole = f"import rl.sandbox.system_calls as calls; calls.{table}[{name!r}] = {value}; "
    start = subprocess.Popen

    def start_with_a_hole(command, **options):
        at = command.index("-c") + 1
        root, _, rest = command[at].rpartition("import rl.sandbox.launcher")
        command[at] = f"{root}{hole}import rl.sandbox.launcher{rest}"
        return start(command, **options)

    monkeypatch.setattr(pool_module.subprocess, "Popen", start_with_a_hole)
    with pytest.raises(InputError, match=f"got a program that could {what}, expected one shut in"):
        Pool(QUICK, 1).start()


def test_another_machine_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InputError, match="sandbox: got darwin, expected linux"):
        require_sandbox()
