"""Names of a user's own code: found in a file or a module, or refused in one line."""

import pytest
import torch

from rl.errors import InputError
from rl.plugins import Contract, allow_code, call_plugin, find, load_plugin, plugin_source


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n1 / 0\n", "got ZeroDivisionError: division by zero at {}:2, expected a file"),
        ("x = 1\n\ndef f(group)\n", "got SyntaxError: .* at {}:3, expected a file that loads"),
        ("import nonesuch\n", "got ModuleNotFoundError: No module named 'nonesuch' at {}:1, "),
    ],
)
def test_a_bug_in_the_file_is_one_line_that_names_the_place(tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match="^task: " + message.format(path)):
        load_plugin(f"{path}:f", "task")


def test_so_is_one_in_a_module(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("x = 1\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"task: got ZeroDivisionError.* at .*broken_module.py:2"):
        load_plugin("broken_module:f", "task")


def test_a_full_accelerator_is_no_slip():
    def fill():
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        call_plugin("loss_terms.mine", fill)


def test_what_is_asked_for_in_vain_comes_with_what_there_is(make_group):
    with pytest.raises(InputError, match=r"no attribute 'label' at .*: a Rollout has completion, "):
        call_plugin("reward 'mine'", lambda group: group.rollouts[0].label, make_group(["1"]))


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


# What may be run.


@pytest.fixture
def nothing_allowed(monkeypatch):
    monkeypatch.setattr("rl.plugins._allowed", set())


@pytest.fixture
def plugin(tmp_path):
    """A file that leaves a trace when it is run."""
    path = tmp_path / "mine.py"
    path.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\ndef f(group):\n    return []\n")
    return f"{path}:f"


def test_code_is_not_run_unless_the_user_said_so(nothing_allowed, plugin, tmp_path):
    message = r"rewards: got '.*mine.py:f', which would run the file /.*/mine.py, expected that "
    with pytest.raises(InputError, match=message + r".* Pass --allow_code"):
        find(plugin, {}, "rewards")
    with pytest.raises(InputError, match="which would run the module 'subprocess'"):
        find("subprocess:Popen", {}, "rewards")
    # The project's own places are code of the project.
    assert find("there", {"there": "math:sqrt"}, "task")(4) == 2
    allow_code({"rewards": {"another.py:f": {"weight": 1}}})
    with pytest.raises(InputError, match="which would run"):
        find(plugin, {}, "rewards")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("say", [lambda n: n, lambda n: ["a", n], lambda n: {"x": [{n: None}]}])
def test_what_the_user_names_is_run(nothing_allowed, plugin, tmp_path, say):
    allow_code(say(plugin))
    assert find(plugin, {}, "rewards")([]) == []
    with pytest.raises(InputError, match="which would run"):
        find("math:sqrt", {}, "rewards")


def test_any_code_can_be_allowed(nothing_allowed, plugin):
    allow_code()
    assert find(plugin, {}, "rewards")([]) == []


class Scorer:
    def __call__(self, group, scale=1):
        return scale


class Nothing:
    pass


GROUP = Contract(takes=("group",))


@pytest.mark.parametrize("plugin", [lambda group: 1, lambda group, scale=2: 1, Scorer, Scorer()])
def test_rewards_by_their_first_parameter(plugin):
    assert GROUP.check("name", "reward", plugin) is plugin


def test_not_everything_is_called():
    from os import system
    from shutil import rmtree
    from subprocess import Popen, run

    for plugin in (Popen, run, system, rmtree, eval, print, dict, Nothing, lambda: 1, max):
        with pytest.raises(
            InputError, match=r"reward: got 'x:y', expected a function, or .* group"
        ):
            GROUP.check("x:y", "reward", plugin)
    with pytest.raises(InputError, match=r"that takes left, right first"):
        Contract(takes=("left", "right")).check("x:y", "answer_comparer", lambda right, left: 1)


def test_contracts_of_what_is_built():
    game, task = Contract(built_with=("seed",)), Contract(has=("rule_check",))
    assert game.check("x:y", "game", lambda *, seed, size=1: 1)
    with pytest.raises(InputError, match="expected a function or class with a parameter seed"):
        game.check("x:y", "game", lambda **settings: 1)
    assert task.check("x:y", "task", type("Task", (), {"rule_check": None}))
    with pytest.raises(InputError, match="expected a class with rule_check"):
        task.check("x:y", "task", Nothing)


def test_whatever_a_plugin_raises_is_one_line_with_the_place():
    def fail(error):
        raise error

    for error, words in (
        (ZeroDivisionError("no"), "ZeroDivisionError: no"),
        (SystemExit(0), "SystemExit: 0"),
        (StopIteration(), "StopIteration"),
    ):
        with pytest.raises(InputError, match=rf"mine: got {words} at .*test_plugins.py:\d+, exp"):
            call_plugin("mine", fail, error)
    with pytest.raises(InputError, match=r"^as it is$"):
        call_plugin("mine", fail, InputError("as it is"))
    with pytest.raises(KeyboardInterrupt):
        call_plugin("mine", fail, KeyboardInterrupt())
    assert call_plugin("mine", max, 1, 2) == 2
