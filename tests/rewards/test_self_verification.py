"""Shares of yes, counted by hand."""

from dataclasses import replace

import pytest

from rewards import get_reward
from rewards.candidates import candidates
from rewards.self_verification import SelfVerification, read_verdict
from rl.errors import InputError
from rl.questions import Answered, Asked


def reply(text, truncated=False):
    return Answered(completion=text, num_tokens=len(text) + 1, truncated=truncated)


def answered(reward, group, **replies):
    """The group with replies by answer: lists of "yes", "no" or anything else."""
    asked = []
    for question in reward.questions(group):
        [texts] = [v for k, v in replies.items() if f"answer is {k[1:]}." in question.prompt]
        asked.append(
            Asked(key=question.key, prompt=question.prompt, replies=tuple(map(reply, texts)))
        )
    return replace(group, asked=asked)


# Degenerate groups.


@pytest.mark.parametrize("answers", [[], [None, None]])
def test_nobody_answered_so_nothing_is_asked(make_group, answers):
    reward, group = SelfVerification(), make_group(answers)
    assert reward.questions(group) == []
    assert reward(group) == [None] * len(answers)


def test_without_replies_nothing_is_scored(make_group):
    reward, group = SelfVerification(), make_group(["2", None])
    assert reward(group) == [None, None]
    # A question that was too long has no replies either.
    [question] = reward.questions(group)
    left_out = Asked(key=question.key, prompt=question.prompt, replies=())
    assert reward(replace(group, asked=[left_out])) == [None, None]


def test_one_answer_is_judged_too(make_group):
    reward, group = SelfVerification(), make_group(["2", "2.0", None])
    assert len(reward.questions(group)) == 1
    assert reward(answered(reward, group, _2=["yes", "no", "no", "no"])) == [0.25, 0.25, 0.0]
    assert reward(answered(reward, group, _2=["hm", "", "hm", "hm"])) == [None, None, None]


# Shares.


def test_each_answer_gets_its_share_of_yes(make_group):
    reward, group = SelfVerification(num_judgments=3), make_group(["2", "3", "2", None, "5"])
    questions = reward.questions(group)
    assert [question.num_samples for question in questions] == [3] * 3
    # 2: one of two that can be read; 3: all; 5: none can be read.
    group = answered(reward, group, _2=["yes", "no", "?"], _3=["yes"] * 3, _5=["?", "maybe", "why"])
    assert reward(group) == [0.5, 1.0, 0.5, 0.0, None]
    assert reward.explain(group)[:2] == [{"yes": 1, "no": 1}, {"yes": 3, "no": 0}]
    assert reward.explain(group)[3] == {"yes": 0, "no": 0}


def test_each_completion_may_be_judged(make_group):
    reward = SelfVerification(per="completion", prompt="{{problem}} {{solution}}")
    texts = ["so 2", "two: 2", "so 2", "nothing"]
    group = make_group(["2", "2", "2", None], completions=texts)
    questions = reward.questions(group)
    assert sorted(question.prompt for question in questions) == ["1+1= so 2", "1+1= two: 2"]
    replies = {"1+1= so 2": ("yes", "no"), "1+1= two: 2": ("no", "no")}
    asked = [
        Asked(key=q.key, prompt=q.prompt, replies=tuple(map(reply, replies[str(q.prompt)])))
        for q in questions
    ]
    assert reward(replace(group, asked=asked)) == [0.5, 0.0, 0.5, 0.0]


# The question.


def test_the_question_shows_problem_solution_and_answer(make_group):
    group = make_group(["2"], completions=[r"{{answer}} so \boxed{2}"])
    reward = SelfVerification(max_judgment_tokens=7)
    [question] = reward.questions(replace(group, problem_text="What is 1+1?"))
    assert str(question.prompt).startswith("Problem:\nWhat is 1+1?\n")
    assert r"{{answer}} so \boxed{2}" in question.prompt  # what is shown is no template
    assert "answer is 2." in question.prompt
    assert (question.key, question.max_tokens) == (candidates(group)[0].key, 7)


@pytest.mark.parametrize("prompt", ["{{problem}}", "{{answer}}", "{{problem}} {{answer}} {{x}}"])
def test_a_prompt_without_its_slots_is_refused(prompt):
    with pytest.raises(InputError, match=r"rewards\.self_verification\.prompt: got "):
        get_reward("self_verification", prompt=prompt)


# Verdicts.


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Verdict: yes", True),
        ("1+1 is 2. **Verdict:** No.", False),
        (r"Verdict: \boxed{\text{yes}}", True),
        ("Verdict: no\nWait. Verdict: yes", True),
        ("<think>Verdict: yes</think>Verdict: no", False),
        ("Yes, because 1+1 is 2.", True),
        (" no", False),
        ("", None),
        ("Nothing is wrong.", None),
        ("The verdict is yesterday's", None),
        ("It is right: yes", None),
    ],
)
def test_verdicts(text, verdict):
    assert read_verdict(reply(text)) is verdict


def test_of_a_reply_that_was_cut_off_only_the_first_word_counts():
    assert read_verdict(reply('I end with "Verdict: yes" or', truncated=True)) is None
    assert read_verdict(reply("Yes. Let me", truncated=True)) is True
