"""What published claims look like on the testbed of strategies, counted by hand."""

import pytest

from rl.testbed.signatures import (
    Visited,
    both_ways_share,
    rarer_way_is_paid_more,
    read_visits,
    selected_kinds,
    strategy_shares,
    token_kinds,
    turned_votes,
)

GUESS, LEFT, POSITIVES = r"\boxed{6}", r"3+5=8;8-2=6\boxed{6}", r"+:3+5=8;8-2=6\boxed{6}"


def visited(completions, rewards=None, right=None, majority=None, prompt="3+5-2="):
    return Visited(
        prompt=prompt,
        completions=completions,
        rewards=rewards or [0.0] * len(completions),
        is_right=[True] * len(completions) if right is None else right,
        majority_is_right=majority,
    )


def test_nothing_was_sampled():
    assert strategy_shares([]) == {"guess": 0, "left to right": 0, "positives first": 0}
    assert both_ways_share([]) is None
    assert rarer_way_is_paid_more([]) is None
    assert turned_votes([], []) == {"kept": 0, "learned": 0, "lost": 0, "never": 0}
    assert selected_kinds([], []) == {"selected": 0, "precision": 0}


def test_shares_of_strategies():
    visits = [visited([GUESS, LEFT]), visited([LEFT, POSITIVES])]
    assert strategy_shares(visits) == {"guess": 0.25, "left to right": 0.5, "positives first": 0.25}


def test_a_right_guess_solves_in_no_way():
    # One prompt in both ways, one in one (its other way is wrong), one by a guess alone.
    both = visited([LEFT, POSITIVES])
    one = visited([LEFT, POSITIVES, GUESS], right=[True, False, True])
    assert both_ways_share([both, one, visited([GUESS])]) == 0.5
    assert both_ways_share([visited([GUESS])]) is None


def test_pay_of_the_rarer_way():
    # Positives first is rarer. 0.9 beats 0.8 and ties with 0.9: 1.5 of 2 pairs; the wrong one and
    # the one that could not be scored do not count, nor does the visit without a rarer way.
    texts = [LEFT, LEFT, POSITIVES, POSITIVES, LEFT]
    visit = visited(texts, [0.8, 0.9, 0.9, 0.1, None], [True, True, True, False, True])
    assert rarer_way_is_paid_more([visit, visited([LEFT, POSITIVES])]) == 0.75
    assert rarer_way_is_paid_more([visited([LEFT, POSITIVES])]) is None


def test_turned_votes():
    def voted(**majorities):
        return [visited([LEFT], prompt=name, majority=value) for name, value in majorities.items()]

    first = voted(a=True, b=False, c=True, d=None, only_first=True)
    last = voted(a=True, b=True, c=False, d=False, only_last=True)
    assert turned_votes(first, last) == {"kept": 0.25, "learned": 0.25, "lost": 0.25, "never": 0.25}


def test_visits_are_read_with_what_the_label_says():
    def line(prompt, visit, completion, answer, cluster):
        ids = {"step": 4, "prompt_id": prompt, "visit": visit, "prompt": prompt}
        return {**ids, "completion": completion, "answer": answer, "cluster": cluster, "reward": 1}

    lines = [
        line("a", "0", LEFT, "6", 0),
        line("b", "0", "nothing", None, None),
        line("a", "0", GUESS, "6.0", 0),
        line("a", "1", GUESS, "8", 0),
    ]
    [(step, first), (_, silent), (_, second)] = read_visits(lines, {"a": "6", "b": "1"})
    assert step == 4
    assert (first.completions, first.is_right) == ([LEFT, GUESS], [True, True])
    assert first.majority_is_right
    assert (silent.is_right, silent.majority_is_right) == ([False], None)
    assert second.majority_is_right is False


@pytest.mark.parametrize(
    ("tokens", "kinds"),
    [
        ([], ""),
        (["<eos>"], "way"),
        ([r"\boxed{", "8", "}", "<eos>"], "way guess copy copy"),
        (["+", ":", "3", "+", "5", "=", "8", "<eos>"], "way copy copy copy copy copy result box"),
        # Between two steps there is no choice.
        (["3", "+", "5", "=", "8", ";"], "way copy copy copy result copy"),
    ],
)
def test_what_tokens_decide(tokens, kinds):
    assert token_kinds(tokens) == kinds.split()


def test_a_selection_against_what_tokens_decide():
    kinds = [["way", "copy", "result"], ["way", "guess"]]
    # 3 of 5 tokens are selected, 2 of them decide something: one of two ways, the guess, no result.
    selected = [[True, True, False], [False, True]]
    assert selected_kinds(kinds, selected) == pytest.approx(
        {
            "selected": 0.6,
            "precision": 2 / 3,
            "recall way": 0.5,
            "recall guess": 1.0,
            "recall result": 0.0,
        }
    )
