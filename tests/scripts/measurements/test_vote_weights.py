"""The comparison of weighted votes; two problems by hand."""

from measurements.vote_weights import (
    CANDIDATES,
    PROGRAMS,
    GradedGroup,
    compare_weights,
    is_right,
    judge_weights,
    print_comparison,
    split_half,
)

from rewards.vote_weights import get_vote_weight
from rl.types import Group, Rollout


def graded(texts, right):
    rollouts = (Rollout(completion=text, answer=text[0], cluster=int(text[0])) for text in texts)
    group = Group(prompt_id="p", prompt="", rollouts=tuple(rollouts))
    return GradedGroup(group, frozenset(right))


SHORT_IS_RIGHT = graded(["0", "1 and so on", "1 and so on"], right={0})
NOBODY_ANSWERS = GradedGroup(
    Group(prompt_id="p", prompt="", rollouts=(Rollout(completion=""),)), frozenset()
)


def test_a_vote_is_right_if_its_class_is():
    assert not is_right(get_vote_weight("equal", "by"), SHORT_IS_RIGHT)
    assert is_right(get_vote_weight({"length": {"power": -1}}, "by"), SHORT_IS_RIGHT)
    assert not is_right(get_vote_weight("equal", "by"), NOBODY_ANSWERS)


def test_halves_are_drawn_and_share_nothing():
    first, second = split_half(9, seed=0)
    assert sorted(first + second) == list(range(9))
    assert (len(first), split_half(9, seed=0)) == (4, (first, second))
    assert split_half(9, seed=1) != (first, second)


def test_weights_that_run_programs():
    program = "1\n```python\nprint(1)\n```"  # 1 vote against 2, and 5 with its program's
    group = graded([program, "0", "0"], right={1})
    judged = judge_weights([group, NOBODY_ANSWERS], PROGRAMS)
    assert list(judged.values()) == [[False, False], [True, False], [True, False]]


def test_each_rule_is_counted_on_both_halves(capsys):
    judged = judge_weights([SHORT_IS_RIGHT] * 3, CANDIDATES)
    found = compare_weights(judged, seed=0)
    assert [rule.rule for rule in found[:2]] == ["equal", "length power=-1.0"]
    assert len(found) == 1 + len(CANDIDATES)
    assert [rule[1:] for rule in found[:2]] == [(0, 0), (1, 2)]
    print_comparison(found, 3)
    chosen = "chosen: length power=-1.0; on the other half 1.000 beside 0.000"
    assert chosen in capsys.readouterr().out
