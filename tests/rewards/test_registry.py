"""How recipes name rewards: built-in, in a file, in a module; and every way to get it wrong."""

import importlib
import pickle
import random
import sys

import pytest

from rewards import REWARDS, get_reward, get_reward_for_run
from rewards.boxed_format import boxed_format
from rewards.majority_vote import MajorityVote
from rewards.random_reward import RandomReward
from rl.errors import InputError

PLUGIN = """
from dataclasses import dataclass

limit = 3


def length(group, scale=1.0):
    return [scale * len(rollout.completion) for rollout in group.rollouts]


def anything(group, **settings):
    return [settings["bonus"]] * len(group.rollouts)


@dataclass(frozen=True)
class Constant:
    value: float = 0.0

    def __call__(self, group):
        return [self.value] * len(group.rollouts)
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_reward.py"
    path.write_text(PLUGIN)
    return str(path)


@pytest.fixture
def group(make_group):
    return make_group(["2", "33"], completions=["2", "33"])


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("majority_vote", {}, MajorityVote()),
        (
            "majority_vote",
            {"tie": "drop", "preset": "paper"},
            MajorityVote(tie="drop", preset="paper"),
        ),
        ("random", {"seed": 3, "probability": 0.25}, RandomReward(seed=3, probability=0.25)),
        ("boxed_format", {}, boxed_format),
    ],
)
def test_built_in(name, settings, expected):
    assert get_reward(name, **settings) == expected


def test_from_a_file(plugin, group):
    assert get_reward(f"{plugin}:length")(group) == [1.0, 2.0]
    assert get_reward(f"{plugin}:length", scale=0.5)(group) == [0.5, 1.0]
    assert get_reward(f"{plugin}:anything", bonus=4.0)(group) == [4.0, 4.0]
    assert get_reward(f"{plugin}:Constant")(group) == [0.0, 0.0]
    assert get_reward(f"{plugin}:Constant", value=7.0)(group) == [7.0, 7.0]


def test_a_file_may_postpone_annotations(tmp_path, group):
    # dataclasses looks such annotations up in the module, which must be known by its name.
    path = tmp_path / "postponed_reward.py"
    path.write_text("from __future__ import annotations\n" + PLUGIN)
    assert get_reward(f"{path}:Constant", value=7.0)(group) == [7.0, 7.0]


def test_a_file_may_have_the_name_of_a_library(tmp_path, group):
    path = tmp_path / "random.py"
    path.write_text(PLUGIN)
    assert get_reward(f"{path}:Constant", value=7.0)(group) == [7.0, 7.0]
    assert importlib.import_module("random") is random


def test_from_a_module(plugin, group, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    reward = get_reward("my_reward:length", scale=2.0)
    assert reward(group) == [2.0, 4.0]
    assert pickle.loads(pickle.dumps(reward))(group) == [2.0, 4.0]
    sys.modules.pop("my_reward")


def test_published_by_an_installed_package(group, monkeypatch, tmp_path):
    (tmp_path / "published_reward.py").write_text(PLUGIN)
    metadata = tmp_path / "published-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: published\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[label_free_rl.rewards]\nlength = published_reward:length\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert get_reward("length", scale=3.0)(group) == [3.0, 6.0]
    with pytest.raises(InputError, match="Did you mean 'length'"):
        get_reward("lenght")
    sys.modules.pop("published_reward")


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'majority_vote'") as raised:
        get_reward("majorty_vote")
    assert all(name in str(raised.value) for name in REWARDS)
    with pytest.raises(InputError, match="Use one of these names"):
        get_reward("zzz")


@pytest.mark.parametrize("name", ["majority_vote", "random", "boxed_format"])
def test_an_unknown_setting(name):
    with pytest.raises(InputError, match=f"setting of rewards.{name}: got 'probabilty', expected"):
        get_reward(name, probabilty=0.5)


def test_an_unknown_setting_is_told_the_nearest(plugin):
    with pytest.raises(InputError, match="Did you mean 'probability'"):
        get_reward("random", probabilty=0.5)
    with pytest.raises(InputError, match=r"got 'scal', .* Did you mean 'scale'"):
        get_reward(f"{plugin}:length", scal=2.0)
    # The group is no setting.
    with pytest.raises(InputError, match="got 'group', expected one of scale, weight"):
        get_reward(f"{plugin}:length", group=2.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/my_reward.py:length", "expected an existing file"),
        ("no_such_module:length", "expected an importable module"),
        ("{plugin}:nothing", "expected a callable 'nothing' in it"),
        ("{plugin}:limit", "expected a callable 'limit' in it"),
        ("{plugin}:", "expected a callable '' in it"),
        (":length", "reward: got ':length', expected"),
        (".relative:length", "reward: got '.relative:length', expected"),
        ("{plugin}", "reward: got .*my_reward.py', expected"),
    ],
)
def test_what_cannot_be_loaded(plugin, name, message):
    with pytest.raises(InputError, match=message):
        get_reward(name.format(plugin=plugin))


def test_bad_values_of_known_settings():
    with pytest.raises(
        InputError, match=r"rewards.random.probability: got 2.0, expected at most 1"
    ):
        get_reward("random", probability=2.0)
    with pytest.raises(InputError, match=r"rewards\.majority_vote\.tie: got 'las'"):
        get_reward("majority_vote", tie="las")


def test_a_run_fills_in_what_is_not_set_and_loads_a_file_once(tmp_path):
    reward, filled_in = get_reward_for_run("format_length", {}, {"max_completion_length": 8})
    assert (reward.max_completion_length, filled_in) == (8, {"max_completion_length": 8})
    given = {"max_completion_length": 4}
    reward, filled_in = get_reward_for_run("format_length", given, {"max_completion_length": 8})
    assert (reward.max_completion_length, filled_in) == (4, {})
    assert get_reward_for_run("boxed_format", {}, {"max_completion_length": 8})[1] == {}
    # A user's file may be slow to load, or count how often it is.
    count, plugin = tmp_path / "count", tmp_path / "counted.py"
    plugin.write_text(f"open({str(count)!r}, 'a').write('x')\ndef score(group):\n    return []\n")
    get_reward_for_run(f"{plugin}:score", {}, {"max_completion_length": 8})
    assert count.read_text() == "x"
