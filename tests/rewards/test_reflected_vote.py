"""Pools, picks and labels, by hand."""

from dataclasses import replace

import pytest

from rewards import get_reward
from rewards.candidates import candidates
from rewards.reflected_vote import REFLECTION, ReflectedVote, read_pick
from rl.errors import InputError
from rl.questions import Answered, Asked


def reply(text, truncated=False):
    return Answered(completion=text, num_tokens=len(text) + 1, truncated=truncated)


def ask(reward, group, answer):
    """Ask round after round; `answer` returns the texts of a question's replies."""
    while True:
        new = [q for q in reward.questions(group) if group.replies(q.key) is None]
        if not new:
            return group
        asked = [
            Asked(key=q.key, prompt=q.prompt, replies=tuple(map(reply, answer(q)))) for q in new
        ]
        group = replace(group, asked=(*group.asked, *asked))


def number_of(group, answer):
    """The number that an answer has in the pool."""
    return [c.answer for c in candidates(group)].index(answer) + 1


def picking(group, *answers):
    """Summaries for all, then a pick of each of these answers; None cannot be read."""
    picks = ["?" if a is None else f"Best: {number_of(group, a)}" for a in answers]
    return lambda q: picks if q.key == REFLECTION else ["in short"]


# Degenerate groups.


@pytest.mark.parametrize("answers", [[], [None, None]])
def test_nobody_answered(make_group, answers):
    reward, group = ReflectedVote(), make_group(answers)
    assert reward.questions(group) == []
    assert reward(group) == [None] * len(answers)
    assert reward.vote(group).pseudo_label is None


def test_one_answer_is_the_label_without_a_question(make_group):
    reward, group = ReflectedVote(), make_group(["2", "2.0", None])
    assert reward.questions(group) == []
    assert reward(group) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("text", ["?", "", "Best: 0", "Best: 3", "Best: none"])
def test_a_pick_that_cannot_be_read_scores_nothing(make_group, text):
    reward, group = ReflectedVote(), make_group(["2", "2", "3"])
    group = ask(reward, group, lambda question: [text])
    assert reward(group) == [None] * 3
    found = reward.vote(group)
    assert (found.pseudo_label, found.vote.winner, found.selected) == (None, None, (False,) * 3)


def test_a_pool_that_was_too_long_scores_nothing(make_group):
    reward, group = ReflectedVote(), make_group(["2", "3"])
    group = ask(reward, group, lambda q: [] if q.key == REFLECTION else ["in short"])
    assert reward(group) == [None, None]


# Picks.


def test_a_minority_may_be_picked(make_group):
    reward, group = ReflectedVote(), make_group(["2", "2", "3", None])
    group = ask(reward, group, picking(group, "3"))
    assert reward(group) == [0.0, 0.0, 1.0, 0.0]
    found = reward.vote(group)
    assert (found.pseudo_label, found.vote.winner) == ("3", 1)
    assert found.vote.majority_ratio == 0.5  # of the votes, whatever was picked
    assert found.vote.counts == {0: 2, 1: 1}


def test_several_reflections_vote(make_group):
    reward = ReflectedVote(num_reflections=4)
    group = make_group(["2", "2", "3", "5"])
    picked = ask(reward, group, picking(group, "5", "2", "5", None))
    assert reward(picked) == [0.0, 0.0, 0.0, 1.0]
    assert reward.explain(picked) == [{"picks": 1}, {"picks": 1}, {"picks": 0}, {"picks": 2}]
    # Picked as often: the group's votes decide, two against one.
    tied = ask(reward, group, picking(group, "5", "2", "2", "5"))
    assert reward(tied) == [1.0, 1.0, 0.0, 0.0]


# Questions.


def test_summaries_come_first_and_are_shown_to_the_reflection(make_group):
    reward = ReflectedVote(num_reflections=3, max_summary_tokens=5, max_reflection_tokens=6)
    group = replace(make_group(["2", "3"], completions=["a 2", "b 3"]), problem_text="1+1?")
    first = reward.questions(group)
    assert [(q.num_samples, q.max_tokens) for q in first] == [(1, 5)] * 2
    assert all(str(q.prompt).startswith("Problem:\n1+1?\n") for q in first)
    asked = [
        Asked(key=q.key, prompt=q.prompt, replies=(reply(f"<think>x</think>{n}{{{{problem}}}}"),))
        for n, q in enumerate(first)
    ]
    second = reward.questions(replace(group, asked=asked))
    assert second[:2] == first  # asked already
    reflection = second[2]
    assert (reflection.key, reflection.num_samples, reflection.max_tokens) == (REFLECTION, 3, 6)
    one, two = candidates(group)
    shown = (
        f"Candidate 1\nAnswer: {one.answer}\nSummary: 0{{{{problem}}}}\n\n"
        f"Candidate 2\nAnswer: {two.answer}\nSummary: 1{{{{problem}}}}\n"
    )
    assert shown in reflection.prompt


def test_without_summaries_there_is_one_round(make_group):
    reward = ReflectedVote(summarise=False)
    group = make_group(["2", "3"], completions=["a 2", "b 3"])
    [question] = reward.questions(group)
    assert question.key == REFLECTION
    assert "Solution: a 2" in question.prompt
    assert "Solution: b 3" in question.prompt


def test_the_pool_holds_the_answers_with_most_votes(make_group):
    reward = ReflectedVote(max_candidates=2, summarise=False)
    group = make_group(["2", "3", "3", "5", "5", "5", "7"])
    [question] = reward.questions(group)
    assert "Answer: 3" in question.prompt
    assert "Answer: 5" in question.prompt
    assert "Answer: 2" not in question.prompt
    assert "Answer: 7" not in question.prompt


def test_a_summary_that_was_left_out_leaves_the_answer(make_group):
    reward, group = ReflectedVote(), make_group(["2", "3"])
    asked = [Asked(key=q.key, prompt=q.prompt, replies=()) for q in reward.questions(group)]
    reflection = reward.questions(replace(group, asked=asked))[2]
    assert "Candidate 1\nAnswer: " in reflection.prompt
    assert "Summary" not in reflection.prompt


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("summary_prompt", "{{problem}}"),
        ("reflection_prompt", "{{candidates}}"),
        ("reflection_prompt", "{{problem}} {{candidates}} {{solution}}"),
        ("max_candidates", 1),
        ("num_reflections", 0),
    ],
)
def test_bad_settings(setting, value):
    with pytest.raises(InputError, match=rf"rewards\.reflected_vote\.{setting}: got "):
        get_reward("reflected_vote", **{setting: value})


@pytest.mark.parametrize(
    ("text", "pick"),
    [
        ("Best: 2", 2),
        (r"So **Best:** Candidate \boxed{1}.", 1),
        ("Best: 1. No: Best: 2", 2),
        ("<think>Best: 1</think> Best: 2", 2),
        ("2", 2),
        ("Candidate 1 is right", 1),
        ("Best: 1000", None),
        ("I take the second", None),
        ("The best has 2 steps", None),
    ],
)
def test_picks(text, pick):
    assert read_pick(reply(text), 2) == pick


def test_of_a_reply_that_was_cut_off_only_the_first_word_counts():
    assert read_pick(reply('"Best: 2", I', truncated=True), 2) is None
    assert read_pick(reply("2 is", truncated=True), 2) == 2
