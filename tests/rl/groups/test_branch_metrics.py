"""What branching saved and changed, counted by hand."""

from dataclasses import replace

import pytest

from rl.groups.branch_metrics import branch_metrics
from rl.types import Branch


def with_facts(group, facts):
    rollouts = zip(group.rollouts, facts, strict=True)
    return replace(group, rollouts=tuple(replace(r, **more) for r, more in rollouts))


def test_nothing_branched(make_group):
    group = with_facts(make_group(["1", "2"]), [{"num_tokens": 4}] * 2)
    assert branch_metrics([group]) == {
        "branches/saved_tokens": 0.0,
        "branches/saved_frac": 0.0,
        "branches/branch_frac": 0.0,
        "branches/pruned_frac": 0.0,
        "branches/pruned_tokens": 0.0,
    }


def test_by_hand(make_group):
    group = with_facts(
        make_group(["1", "1", "2", None]),
        [
            {"num_tokens": 6, "num_pruned": 2},  # 8 were sampled
            {"num_tokens": 5, "branch": Branch(root=0, position=4)},  # 1 was
            {"num_tokens": 10, "branch": Branch(root=0, position=2)},  # 8 were; another answer
            {"num_tokens": 3, "branch": Branch(root=0, position=0)},  # 3 were; no answer
        ],
    )
    assert [rollout.num_sampled for rollout in group.rollouts] == [8, 1, 8, 3]
    found = branch_metrics([group])
    assert found["branches/saved_tokens"] == 6
    assert found["branches/saved_frac"] == pytest.approx(6 / 26)  # the two cut off among them
    assert (found["branches/branch_frac"], found["branches/pruned_frac"]) == (0.75, 0.25)
    assert found["branches/pruned_tokens"] == 2
    # At 4, 2 and 0 of the root's 8 tokens.
    assert found["branches/fork_depth"] == pytest.approx((0.5 + 0.25 + 0) / 3)
    assert found["branches/changed_answer_frac"] == pytest.approx(2 / 3)
