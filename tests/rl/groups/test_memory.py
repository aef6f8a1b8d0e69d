"""Memory of rewards: fed with whole batches, written to checkpoints and read back."""

import json

from rl.groups.memory import SIGNAL_FILE, load_signals, prompt_signals, save_signals, show_groups
from rl.types import Group


class Counter:
    def __init__(self):
        self.seen = []

    def observe(self, groups):
        self.seen += [group.prompt_id for group in groups]

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def forgetful(group):
    return []


def test_no_memory_leaves_no_file(tmp_path):
    show_groups({"forgetful": forgetful}, [])
    save_signals(tmp_path, {"forgetful": forgetful, "selector": None})
    assert list(tmp_path.iterdir()) == []
    load_signals(tmp_path, {"forgetful": forgetful})


def test_a_memory_goes_on_where_it_was(tmp_path):
    counter = Counter()
    groups = tuple(Group(prompt_id=name, prompt="", rollouts=()) for name in "ab")
    show_groups({"counter": counter, "forgetful": forgetful}, groups)
    save_signals(tmp_path, {"counter": counter, "forgetful": forgetful})
    assert json.loads((tmp_path / SIGNAL_FILE).read_text()) == {"counter": {"seen": ["a", "b"]}}
    resumed, other = Counter(), Counter()
    load_signals(tmp_path, {"counter": resumed, "new": other, "forgetful": forgetful})
    assert resumed.seen == ["a", "b"]
    assert other.seen == []


def test_every_rule_that_visits_files_says_which_prompts_come_next():
    files = type("Files", (Counter,), {"part": 0})()
    signals = {"curriculum own.py:f": files, "curriculum other": Counter(), "reward": files}
    assert prompt_signals(signals) == {"prompt stream", "curriculum own.py:f"}
