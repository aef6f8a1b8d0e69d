"""What the teacher may write, part by part, against its probabilities by hand."""

import random
import re
from collections import Counter
from functools import partial

import pytest

from rl.selfplay.proposals import Proposal, last_json_object, text_field
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.selfplay.tasks.notes import NotesTask
from rl.testbed.model import CONTEXT_TOKENS, make_tokenizer, solution_targets
from rl.testbed.parts import BOXED
from rl.testbed.selfplay import PROMPTS
from rl.testbed.selfplay_notes import form_of, gold_answer
from rl.testbed.selfplay_teacher import (
    HABIT,
    HELDOUT_FORMS,
    WORK_PROB,
    draw_challenge,
    draw_judgment,
    draw_questioner,
    draw_responder,
    guess_distribution,
    lookup_distribution,
    step_distribution,
    write_answer,
    write_question,
    write_verdict,
)

TASK = NotesTask()
VALUES = {"a": 7, "b": 3, "c": 9, "d": 4}


def text_of(parts):
    return "".join(part.text for part in parts)


def likeliest(distribution):
    return max(distribution, key=distribution.get)


def test_what_may_be_written_is_a_distribution():
    found = [guess_distribution(value) for value in range(1, 10)]
    found += [step_distribution(7, sign, 3) for sign in "+*"]
    found += [lookup_distribution(name, VALUES) for name in "ai"]
    found.append(lookup_distribution("a", {"a": 7}))
    for distribution in found:
        assert sum(distribution.values()) == pytest.approx(1.0)
        assert min(distribution) >= 0


def test_working_goes_from_the_last_name_to_the_first():
    # Whatever slips in, each step goes on with what the last one came to.
    answers = [text_of(write_answer("a+b+c", VALUES, random.Random(seed))) for seed in range(60)]
    assert r"c9;b3;9+3=12;a7;12+7=19\boxed{19}" in answers
    assert r"\boxed{9}" in answers
    worked = [answer for answer in answers if not answer.startswith(BOXED)]
    assert 30 < len(worked) < 55
    for answer in worked:
        steps = re.fullmatch(
            r"c(\d);b(\d);\1\+\2=(\d+);a(\d);\3\+\4=(\d+)\\boxed\{\5(\.0)?\}", answer
        )
        assert steps, answer


def test_numbers_are_added_without_looking_up():
    answers = {text_of(write_answer("4+5+2", {}, random.Random(seed))) for seed in range(40)}
    assert r"2+5=7;7+4=11\boxed{11}" in answers


def test_a_choice_between_guessing_and_working_is_the_form_s():
    for form, work in WORK_PROB.items():
        [first, *_] = write_answer(form, VALUES, random.Random(0))
        last_name = form[-1]
        expected = {BOXED: 1 - work, last_name: work} if work < 1 else {}
        assert first.alternatives == pytest.approx(expected)


def test_greedy_is_wrong_at_what_is_held_out():
    for form in HELDOUT_FORMS.values():
        assert WORK_PROB[form] < 0.5
        # The likeliest guess is the last name's value, which a sum exceeds; a product does not
        # where the other factor is 1.
        assert str(likeliest(guess_distribution(VALUES[form[-1]]))) != gold_answer(form, VALUES)


def test_questions_follow_the_habit():
    # 0.8 begin with a fact; then a single name in 0.4; of the rest, 0.6, a product in 0.07.
    parts = write_question(VALUES, random.Random(1))
    assert parts[0].alternatives["17"] == pytest.approx(0.8)
    chosen = {}
    for seed in range(200):
        for part in write_question(VALUES, random.Random(seed)):
            if part.text in "{*+" and len(part.alternatives) == 2:
                chosen.setdefault(frozenset(part.alternatives), set()).add(
                    tuple(round(prob, 4) for _, prob in sorted(part.alternatives.items()))
                )
    assert chosen[frozenset({"{", "23"})] == {(0.6, 0.4)}  # a second name, or the question
    assert chosen[frozenset({"{", "39"})] == {(round(0.08 / 0.53, 4), round(0.45 / 0.53, 4))}
    # A product among questions of two names and more; about numbers a single one is a sum of two.
    assert chosen[frozenset("+*")] == {
        (round(0.07 / 0.6, 4), round(0.53 / 0.6, 4)),
        (0.07, 0.93),
    }


def test_the_teacher_s_questions_can_mostly_be_read():
    rng = random.Random(0)
    found = [
        TASK.read_proposal(text_of(write_question(VALUES, rng)), rng, len) for _ in range(2000)
    ]
    read_ones = [proposal for proposal in found if isinstance(proposal, Proposal)]
    assert len(read_ones) / 2000 == pytest.approx(0.85**2, abs=0.03)
    forms = Counter(form_of(proposal.question) for proposal in read_ones)
    assert set(forms) == set(HABIT)  # practised alike
    right = [gold_answer(p.question, VALUES) == p.answer for p in read_ones]
    assert 0.85 < sum(right) / len(right) < 0.97


def test_verdicts():
    word = write_verdict("10.0", "10", random.Random(0))[1]
    assert word.alternatives == pytest.approx({"Y": 0.97 * 0.88, "N": 0.97 * 0.12, "]": 0.03})
    word = write_verdict("11", "10", random.Random(0))[1]
    assert word.alternatives["N"] == pytest.approx(0.97 * 0.88)
    texts = {text_of(write_verdict("11", "10", random.Random(seed))) for seed in range(200)}
    assert texts == {"[YES]", "[NO]", "[]"}


def test_challenges_are_mostly_problems_about_numbers():
    templates = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)
    rng = random.Random(0)
    found = [draw_challenge(rng, templates) for _ in range(500)]
    assert {prompt for prompt, _ in found} == {"-\nQ:"}
    values = [last_json_object(text_of(parts)) for _, parts in found]
    questions = [text_field(value, "question") for value in values if value is not None]
    assert len(questions) / 500 == pytest.approx(0.85, abs=0.05)
    assert all(term.isdigit() for question in questions for term in re.split("[+*]", question))


@pytest.mark.parametrize("role", ["responder", "questioner", "verifier", "challenger"])
def test_every_choice_is_one_token_and_short(role):
    tokenizer = make_tokenizer()
    notes, numbers = Templates("testbed"), Templates("r_zero", PROMPTS, R_ZERO_SLOTS)
    draw_example = {
        "responder": partial(draw_responder, templates=notes),
        "questioner": partial(draw_questioner, templates=notes),
        "verifier": partial(draw_judgment, templates=notes),
        "challenger": partial(draw_challenge, templates=numbers),
    }[role]
    rng = random.Random(0)
    for _ in range(200):
        prompt, parts = draw_example(rng)
        input_ids, targets = solution_targets(prompt, parts, tokenizer)
        # Cut into parts it is the very text a model would read.
        assert input_ids == [*tokenizer.encode(prompt + text_of(parts)), tokenizer.eos_token_id]
        assert tokenizer.unk_token_id not in input_ids
        assert len(input_ids) < 100 < CONTEXT_TOKENS
        for token_id, target in zip(input_ids, targets, strict=True):
            assert not target or token_id in target
            assert not target or sum(target.values()) == pytest.approx(1.0)
