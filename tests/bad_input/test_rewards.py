"""Rewards that raise, end the process, change the group or return tensors; names that are none."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

SCRIPT = str(Path(__file__).parents[2] / "scripts" / "train.py")
REWARDS = """
import torch

def pays(group):
    return [1.0] * len(group.rollouts)

def divides(group):
    return [1 / 0]

def leaves(group):
    raise SystemExit(0)

def changes(group):
    object.__setattr__(group.rollouts[0], "answer", "another")
    return [0.0] * len(group.rollouts)

def returns_tensors(group):
    return torch.zeros(len(group.rollouts))

def returns_too_few(group):
    return []

def takes_another(rollouts):
    return []
"""
MESSAGES = {
    "divides": "got ZeroDivisionError: division by zero at ",
    "leaves": "got SystemExit: 0 at ",
    "changes": "got a changed group",
    "returns_tensors": "got Tensor, expected a list",
    "returns_too_few": "got 0 values, expected a list",
}


@pytest.fixture
def recipe(right_recipe, tmp_path):
    """Write a recipe with a reward of one's own."""
    (tmp_path / "mine.py").write_text(REWARDS)

    def write(name):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**right_recipe, "rewards": {name: {}}}))
        return path

    return write


def test_a_recipe_s_code_is_not_run(refused, recipe, tmp_path):
    (tmp_path / "mine.py").write_text("open('was_run', 'w')\n" + REWARDS)
    error = refused("train.py", recipe("mine.py:divides"), "--dry_run")
    assert f"which would run the file {tmp_path}/mine.py" in error
    for name in ("subprocess:Popen", "os:system", "builtins:eval"):
        module = name.partition(":")[0]
        error = refused("train.py", recipe(name), "--dry_run")
        assert f"got {name!r}, which would run the module {module!r}" in error


def test_what_is_no_reward_is_not_called_even_if_it_is_allowed(refused, recipe):
    for name in ("subprocess:Popen", "os:system", "builtins:eval", "mine.py:takes_another"):
        error = refused("train.py", recipe(name), "--dry_run", "--allow_code")
        assert f"got {name!r}, expected a function, or a class" in error
    error = refused(
        "train.py", recipe("random"), "--dry_run", "--rewards", '{"os:system": {"weight": 2}}'
    )
    assert "got 'os:system', expected a function" in error


@pytest.mark.parametrize("named", ["recipe", "command line"])
def test_what_the_user_allows_is_run(recipe, tmp_path, monkeypatch, capsys, named):
    arguments = {
        "recipe": [recipe("mine.py:pays"), "--allow_code"],
        "command line": [recipe("random"), "--rewards", "{mine.py:pays: {}}"],
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rl.plugins._allowed", set())
    monkeypatch.setattr(sys, "argv", [SCRIPT, *map(str, arguments[named]), "--dry_run"])
    runpy.run_path(SCRIPT, run_name="__main__")
    assert "completions trained" in capsys.readouterr().out


@pytest.mark.parametrize("name", MESSAGES)
def test_a_dry_run_ends_with_the_reward_s_name(refused, recipe, tmp_path, name):
    error = refused("train.py", recipe(f"mine.py:{name}"), "--dry_run", "--allow_code")
    assert f"error: reward 'mine.py:{name}': {MESSAGES[name]}" in error


@pytest.mark.medium
def test_a_run_ends_with_the_name_of_a_reward_that_fails_on_what_is_sampled(
    recipe, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path = recipe("mine.py:divides")
    # The made-up completions that it is tried on hold words.
    mine = (tmp_path / "mine.py").read_text()
    passes = (
        "[1.0 if 'So' in r.completion or 'know' in r.completion else 1 / 0 for r in group.rollouts]"
    )
    (tmp_path / "mine.py").write_text(mine.replace("[1 / 0]", passes))
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(path), "--allow_code"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    assert ended.value.code == 2
    [line] = [text for text in capsys.readouterr().err.splitlines() if "error: " in text]
    assert f"error: reward 'mine.py:divides': {MESSAGES['divides']}" in line
