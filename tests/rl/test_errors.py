"""Bad input: one line and exit status 2; a bug keeps its traceback."""

import errno
import os
import subprocess
import sys

import pytest

from rl.errors import InputError, RunStopped, exit_on_bad_input, unknown_name


def test_nothing_wrong_nothing_happens(capsys):
    with exit_on_bad_input():
        pass
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as exit_info, exit_on_bad_input():
        raise InputError("recipe: got\n  line 3,\texpected YAML.\nMend it.")
    assert exit_info.value.code == 2
    assert exit_info.value.__suppress_context__
    assert capsys.readouterr() == ("", "error: recipe: got line 3, expected YAML. Mend it.\n")


def test_as_a_decorator(capsys):
    @exit_on_bad_input()
    def main(value):
        if value < 0:
            raise InputError(f"value: got {value}, expected 0 or more. Raise it.")
        return value

    assert main(3) == 3
    for _ in range(2):  # a decorated function can be called again
        with pytest.raises(SystemExit):
            main(-1)
    assert capsys.readouterr().err.count("error: value: got -1") == 2


def test_errors_of_files_and_disks_are_no_bugs(capsys, tmp_path):
    (tmp_path / "file").touch()
    for work in (
        lambda: (tmp_path / "file" / "folder").mkdir(),
        lambda: (tmp_path / ("a" * 5000)).is_file(),
        lambda: (tmp_path / "none").read_text(),
    ):
        with pytest.raises(SystemExit) as exit_info, exit_on_bad_input():
            work()
        assert exit_info.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path}/")
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert capsys.readouterr().err.startswith("error: files: got No space left on device, expected")


def test_a_line_is_short_and_obeys_no_control_characters(capsys):
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise InputError(f"value: got \x1b[31m{'a' * 5000}, expected less. Shorten it.")
    line = capsys.readouterr().err
    assert line.startswith(r"error: value: got \x1b[31maaa")
    assert line.endswith("aaa, expected less. Shorten it.\n")
    assert len(line) < 910


def test_ctrl_c_is_one_line(capsys):
    for text in ((), ("the same command goes on",)):
        with pytest.raises(SystemExit) as exit_info, exit_on_bad_input(*text):
            raise KeyboardInterrupt
        assert exit_info.value.code == 130
    assert capsys.readouterr() == ("", "\ninterrupted\n\nthe same command goes on\n")


@pytest.mark.parametrize("bug", [ValueError("x"), KeyError("x"), AssertionError(), OSError()])
def test_bugs_crash(bug):
    with pytest.raises(type(bug)) as raised, exit_on_bad_input():
        raise bug
    assert raised.value is bug


def test_unknown_name_lists_the_known_and_the_nearest():
    near = unknown_name("reward", "majority_vot", ["random", "majority_vote"])
    assert str(near) == (
        "reward: got 'majority_vot', expected one of majority_vote, random. "
        "Did you mean 'majority_vote'?"
    )
    far = unknown_name("reward", "zzz", ["random", "majority_vote"])
    assert str(far) == (
        "reward: got 'zzz', expected one of majority_vote, random. Use one of these names."
    )
    assert isinstance(far, ValueError)
    none = unknown_name("setting of random", "zzz", [])
    assert str(none) == (
        "setting of random: got 'zzz', expected none: there are no such names. Remove it."
    )


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)"])
def test_nobody_reads_the_output_any_more(end):
    code = (
        "from rl.errors import exit_on_bad_input\n"
        "with exit_on_bad_input():\n"
        "    for line in range(100_000): print(line)\n"
        f"    {end}"
    )
    command = f"{sys.executable} -c '{code}' | head --lines=1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("0\n141\n", "")


PRINTING = "from rl.errors import *\nwith exit_on_bad_input():\n    print(1)"


def buffered():
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("output", ["closed by its reader", "full", "closed"])
@pytest.mark.parametrize(
    ("end", "status", "line"),
    [
        ("InputError('x: got 1, expected 2. Do.')", 2, "error: x: got 1, expected 2. Do.\n"),
        ("RunStopped('It can go on.')", 75, "It can go on.\n"),
    ],
)
def test_why_a_run_ends_is_told_whatever_became_of_its_output(output, end, status, line):
    command = [sys.executable, "-c", f"{PRINTING}\n    raise {end}"]
    if output == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full" if output == "full" else writing, "w") as stdout:
        process = subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=buffered()
        )
    if output == "full":
        os.close(writing)
    assert (process.returncode, process.stderr) == (status, line)


def test_a_stop_is_said_once_where_one_block_is_in_another(capsys):
    with pytest.raises(SystemExit) as end, exit_on_bad_input(), exit_on_bad_input():
        raise RunStopped("It can go on.")
    assert (end.value.code, capsys.readouterr().err) == (75, "It can go on.\n")


def test_nothing_wrong_and_a_full_disk():
    command = [sys.executable, "-c", PRINTING]
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered()
        )
    assert process.returncode == 2
    [line] = process.stderr.splitlines()
    assert line.startswith("error: files: got No space left on device")


def test_a_broken_pipe_of_another_kind_is_a_bug(capsys):
    with pytest.raises(BrokenPipeError), exit_on_bad_input():
        raise BrokenPipeError
