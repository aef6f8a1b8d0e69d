"""Names of a user's own code: found in a file or a module, or refused in one line."""

import pytest

from rl.errors import InputError
from rl.plugins import find, load_plugin, plugin_source


def test_a_file_is_run_once(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("runs = []\nruns.append(1)\ndef count():\n    return len(runs)\n")
    assert load_plugin(f"{path}:count", "task")() == 1
    monkeypatch.chdir(tmp_path)
    assert load_plugin("mine.py:count", "task") is load_plugin(f"{path}:count", "task")
    assert plugin_source("mine.py:count", "task") == path.read_bytes()


def test_of_a_module():
    assert load_plugin("math:sqrt", "task")(4) == 2
    assert plugin_source("rl.plugins:load_plugin", "task").startswith(b'"""What a name')


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:f", "task: got 'nowhere.py:f', expected an existing file"),
        ("math:nothing", "task: got 'math:nothing', expected a callable 'nothing' in it"),
        ("math:pi", "expected a callable 'pi' in it"),
        ("no_such_module:f", "expected an importable module"),
        ("not a module:f", "expected package.module:attribute or path/to/file.py:attribute"),
    ],
)
def test_what_cannot_be_loaded(name, message):
    with pytest.raises(InputError, match=message):
        load_plugin(name, "task")


def test_a_bug_in_the_file_crashes(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_plugin(f"{tmp_path / 'broken.py'}:f", "task")


def test_a_name_is_looked_for_in_the_table_first(tmp_path):
    (tmp_path / "mine.py").write_text("def f():\n    return 'mine'\n")
    table = {"here": len, "there": "math:sqrt"}
    assert find("here", table, "task") is len
    assert find("there", table, "task")(4) == 2
    assert find(f"{tmp_path}/mine.py:f", table, "task")() == "mine"
    with pytest.raises(
        InputError, match=r"task: got 'their', expected one of here, there\. Did you"
    ):
        find("their", table, "task")
