"""T3RL's vote: weights of verified rollouts, counted by hand."""

from dataclasses import replace

import pytest

from rewards import get_reward
from rewards.candidates import completion_key
from rewards.tool_verified_vote import ToolVerifiedVote, read_program
from rl.errors import InputError
from rl.questions import Answered, Asked


def reply(text):
    return Answered(completion=text, num_tokens=len(text) + 1, truncated=False)


def code(program):
    return f"Let us see.\n```python\n{program}\n```"


def asked(reward, group, replies):
    """The group with a reply about each completion; None: the question did not fit."""
    keys = {completion_key(r): replies[r.completion] for r in group.rollouts if r.answer}
    return replace(
        group,
        asked=[
            Asked(
                key=q.key,
                prompt=q.prompt,
                replies=() if keys[q.key] is None else (reply(keys[q.key]),),
            )
            for q in reward.questions(group)
        ],
    )


# Degenerate groups.


@pytest.mark.parametrize("answers", [[], [None, None]])
def test_nobody_answered_so_nothing_is_asked(make_group, answers):
    reward, group = ToolVerifiedVote(), make_group(answers)
    assert reward.questions(group) == []
    assert reward(group) == [None] * len(answers)


def test_unverifiable_votes_are_the_plain_vote(make_group):
    reward = ToolVerifiedVote()
    group = make_group(["2", "3", "3"], completions=["two", "three", "drei"])
    assert reward(group) == [0.0, 1.0, 1.0]  # nothing was asked
    replies = {"two": None, "three": "I cannot.", "drei": code("print(")}
    assert reward(asked(reward, group, replies)) == [0.0, 1.0, 1.0]
    dropping = ToolVerifiedVote(tie="drop")
    assert dropping(make_group(["2", "3"])) == [None, None]


# Weights.


def test_a_verified_vote_counts_omega(make_group):
    answers = ["3", "3", "3", "2", None]
    group = make_group(answers, completions=["a", "b", "c", "d", "e"])
    replies = {
        "a": code("print(2 + 2)"),  # refuted
        "b": code("1 / 0"),
        "c": "none",
        "d": code("print(1 + 1)"),
    }
    reward = ToolVerifiedVote()
    group = asked(reward, group, replies)
    # 1 + 1 + 1 for 3, and 5 for 2.
    assert reward(group) == [0.0, 0.0, 0.0, 1.0, 0.0]
    vote = reward.vote(group)
    assert (vote.pseudo_label, vote.selected) == ("2", (False, False, False, True, False))
    assert vote.vote.majority_ratio == 5 / 9  # the silent one's weight is 1
    assert reward.explain(group)[2:] == [{"vote_weight": w} for w in (1.0, 5.0, 1.0)]
    assert reward.group_metrics(group) == {
        "verified_frac": 1 / 5,
        "program_frac": 3 / 5,
        "refuted_frac": 1 / 3,
        "failed_frac": 1 / 3,
        "timed_out_frac": 0.0,
        "not_run_frac": 0.0,
    }
    # 3 for 3 and 3 for 2: the first; 3 against 2.5.
    assert ToolVerifiedVote(omega=3.0)(group) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert ToolVerifiedVote(omega=2.5)(group) == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_a_program_that_hangs_verifies_nothing(make_group):
    reward = ToolVerifiedVote(max_seconds=0.5)
    group = make_group(["3", "3", "2"], completions=["a", "b", "c"])
    replies = {"a": "", "b": "", "c": code("print(2, flush=True)\nwhile True: pass")}
    group = asked(reward, group, replies)
    assert reward(group) == [1.0, 1.0, 0.0]
    assert reward.group_metrics(group)["timed_out_frac"] == 1.0


def test_one_completion_may_speak_for_its_answer(make_group):
    reward = ToolVerifiedVote(per="answer")
    group = make_group(["2", "2.0", "3", "3", "3"], completions=["b", "aa", "c", "c", "c"])
    questions = reward.questions(group)
    assert sorted(str(q.prompt).split("solution:\n")[1][:2].strip() for q in questions) == [
        "b",
        "c",
    ]
    assert len(ToolVerifiedVote().questions(group)) == 3  # different completions
    keys = {completion_key(r): code("print(2)") for r in group.rollouts}
    replies = [Asked(key=q.key, prompt=q.prompt, replies=(reply(keys[q.key]),)) for q in questions]
    # 5 + 5 against 3.
    assert reward(replace(group, asked=replies)) == [1.0, 1.0, 0.0, 0.0, 0.0]


# The question and the reply.


def test_the_question_shows_problem_and_solution(make_group):
    group = make_group(["2"], completions=[r"{{problem}} so \boxed{2}"])
    reward = ToolVerifiedVote(max_program_tokens=7)
    [question] = reward.questions(replace(group, problem_text="What is 1+1?"))
    assert str(question.prompt).startswith("Problem:\nWhat is 1+1?\n")
    assert r"{{problem}} so \boxed{2}" in question.prompt  # what is shown is no template
    assert (question.num_samples, question.max_tokens) == (1, 7)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (code("print(1)"), "print(1)"),
        (code("print(1)") + "\nor\n" + code("print(2)"), "print(2)"),
        ("<think>" + code("print(1)") + "</think>" + code("print(2)"), "print(2)"),
        ("<think>" + code("print(1)") + "</think>No.", None),
        ("```python\nprint(1)", None),
        ("print(1)", None),
    ],
)
def test_the_last_whole_block_is_the_program(text, program):
    assert read_program([reply(text)]) == program
    assert read_program([]) is None


# Settings.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"omega": -1}, r"rewards\.tool_verified_vote\.omega: got -1, expected at least 1"),
        ({"max_seconds": 0}, r"max_seconds: got 0, expected above 0"),
        ({"max_seconds": -1}, r"max_seconds: got -1, expected above 0"),
        ({"max_program_tokens": 0}, r"max_program_tokens: got 0, expected at least 1"),
        ({"per": "group"}, r"per: got 'group', expected 'answer' or 'completion'"),
        ({"prompt": "{{problem}}"}, r"rewards\.tool_verified_vote\.prompt: got no slot"),
        ({"prompt": "{{problem}} {{solution}} {{x}}"}, r"prompt: got the slot"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        get_reward("tool_verified_vote", **settings)
