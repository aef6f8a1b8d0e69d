"""Branching rules by name."""

import pytest

from rl.errors import InputError
from rl.rollouts.branching.entropy_fork import EntropyFork
from rl.rollouts.branching.registry import build_branching

OWN = """
from rl.rollouts.branching.contract import Fork

class Middle:
    def __init__(self, num_roots: int = 2) -> None:
        self.num_roots = num_roots

    def forks(self, root):
        middle = root.num_positions // 2
        return [Fork(position=middle, num_branches=1)] if root.num_positions else []
"""


def test_a_rule_by_name():
    assert build_branching(None, 4) is None
    assert build_branching({"entropy_fork": None}, 64) == EntropyFork()
    small = {"num_trees": 2, "num_forks": 1, "num_branches": 1}
    assert build_branching({"entropy_fork": small}, 4) == EntropyFork(**small)


def test_a_rule_of_one_s_own(tmp_path):
    path = tmp_path / "middle.py"
    path.write_text(OWN)
    assert build_branching({f"{path}:Middle": {"num_roots": 3}}, 8).num_roots == 3


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "branching: got 0 names, expected one"),
        ({"entropy_fork": {}, "entropy_confidence": {}}, "branching: got 2 names"),
        ({"entropy_forks": {}}, "branching: got 'entropy_forks'.*'entropy_fork'"),
        ({"entropy_fork": {"trees": 2}}, "setting of branching.entropy_fork: got 'trees'"),
        ({"entropy_fork": {"num_trees": 0}}, "branching.entropy_fork.num_trees: got 0"),
        ({"entropy_fork": {}}, "num_votes: got 16, expected at least the 60 completions"),
        ({"entropy_fork": {"num_trees": 17}}, "num_votes: got 16, expected at least the 85 comp"),
        ({"entropy_confidence": {"num_roots": 17}}, "num_votes: got 16, expected at least the 17"),
    ],
)
def test_a_wrong_rule(chosen, message):
    with pytest.raises(InputError, match=message):
        build_branching(chosen, 16)


def test_a_rule_without_roots(tmp_path):
    path = tmp_path / "middle.py"
    path.write_text(OWN)
    with pytest.raises(InputError, match="got 0 as num_roots, expected a whole number of 1 or"):
        build_branching({f"{path}:Middle": {"num_roots": 0}}, 16)


def test_what_is_no_rule(tmp_path):
    path = tmp_path / "nothing.py"
    path.write_text("class Nothing:\n    num_roots = 1\n")
    with pytest.raises(InputError, match="expected a class with a method forks"):
        build_branching({f"{path}:Nothing": {}}, 16)
