"""Bad input: one line and exit status 2; a bug keeps its traceback."""

import errno
import subprocess
import sys

import pytest

from rl.errors import InputError, exit_on_bad_input, unknown_name


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


def test_a_broken_pipe_of_another_kind_is_a_bug(capsys):
    with pytest.raises(BrokenPipeError), exit_on_bad_input():
        raise BrokenPipeError
