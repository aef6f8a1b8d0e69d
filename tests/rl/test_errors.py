"""Bad input: one line and exit status 2; a bug keeps its traceback."""

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
