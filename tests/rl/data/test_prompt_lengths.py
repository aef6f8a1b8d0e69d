"""Which prompts are kept: counted by hand, at and beside the limit."""

import pytest
from datasets import Dataset

from rl.data.prompt_lengths import check_problem_lengths, cut_middle, keep_short_prompts
from rl.errors import InputError


def prompts(*names):
    return Dataset.from_dict({"row": list(range(len(names))), "prompt_id": list(names)})


def test_a_prompt_of_the_limit_is_kept():
    kept, facts = keep_short_prompts(prompts("a", "b", "c"), [5, 6, 7], limit=6)
    assert kept["prompt_id"][:] == ["a", "b"]
    assert (facts.dropped_rows, facts.longest, facts.limit) == ([2], 6, 6)
    assert str(facts) == "1 of 3 prompts (33.33%) dropped, being longer than 6 tokens"


def test_without_a_limit_nothing_is_dropped():
    kept, facts = keep_short_prompts(prompts("a", "b"), [5, 600], limit=None, refuse=True)
    assert len(kept) == 2
    assert (facts.dropped_rows, facts.longest) == ([], 600)


def test_the_fingerprint_is_of_what_is_kept():
    def fingerprint(names, lengths):
        return keep_short_prompts(prompts(*names), lengths, limit=6)[1].fingerprint

    first = fingerprint("abc", [5, 9, 5])
    assert fingerprint("abc", [6, 7, 1]) == first
    assert fingerprint("axc", [5, 9, 5]) == first  # b was not kept
    assert first not in {fingerprint("abc", [5, 5, 5]), fingerprint("cba", [5, 9, 5])}


def test_problems_at_and_above_the_room():
    check_problem_lengths("b", {"p": 6}, room=6)
    check_problem_lengths("b", {"p": 600}, room=None)
    with pytest.raises(InputError, match="b, problem 'q': got 8 tokens, expected at most 6"):
        check_problem_lengths("b", {"p": 7, "q": 8}, room=6)


def test_the_middle_of_a_prompt_that_is_too_long_is_cut():
    ids = list(range(10))
    assert cut_middle([], 1) == []
    assert cut_middle(ids, None) == cut_middle(ids, 10) == ids
    assert cut_middle(ids, 9) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert cut_middle(ids, 4) == [0, 1, 8, 9]
    assert cut_middle(ids, 1) == [9]
