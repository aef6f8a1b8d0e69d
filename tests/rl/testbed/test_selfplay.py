"""The testbed's notes, teacher and files; the model's quality is measured by studies, not here."""

import json
import random
import re
from collections import Counter

import pytest
import torch

from rl.errors import InputError
from rl.selfplay.documents import load_corpus
from rl.selfplay.proposals import (
    BAD_FORMAT,
    UNUSABLE_ANSWER,
    Proposal,
    last_json_object,
    text_field,
)
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.selfplay.tasks.notes import NotesTask
from rl.testbed.model import CONTEXT_TOKENS, make_tokenizer
from rl.testbed.selfplay import NUM_HELDOUT, NUM_TOPICS, PROMPTS, write_selfplay_testbed
from rl.testbed.selfplay_teacher import (
    NAMES,
    NUM_NOTES,
    PRACTICE,
    draw_challenge,
    draw_judgment,
    draw_notes,
    draw_transcript,
    gold_answer,
    write_answer,
    write_question,
    write_verdict,
)

TASK = NotesTask()
VALUES = {"a": 7, "b": 3, "c": 9, "d": 4}


def read(text):
    return TASK.read_proposal(text, random.Random(0), len)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testbed") / "t"
    return write_selfplay_testbed(folder, 0, num_pretraining_steps=2, show_progress=False)


def test_questions_are_read():
    assert read('a7;{"q":"a+b","a":10}') == Proposal(question="a+b", answer="10")
    assert read('{"q":"a","a":7}').question == "a"
    assert read('{"q":"a*b","a":21}').answer == "21"
    bad_ones = ['{"q":"a+b","a":10', '"q":"a+b","a":10}']
    bad_ones += [f'{{"q":"{question}","a":4}}' for question in ("a-b", "a+", "a*b*c", "a+b*c")]
    for bad in bad_ones:
        assert read(bad) == BAD_FORMAT
    assert read('{"q":"a+b","a":110}') == UNUSABLE_ANSWER


def test_answers_are_read_and_checked():
    assert TASK.read_answer(r"a7;7+3=10\boxed{10}") == "10"
    assert TASK.read_answer("a7;7+3=10") is None
    assert TASK.read_answer(r"\boxed{1234567890}") is None
    assert [TASK.rule_check(answer, "10") for answer in ("10", "10.0", "11")] == [1.0, 0.0, 0.0]


def test_the_teacher_is_mostly_right():
    # (1 - 0.05 * 3/4)^2 for looking up (another name may have the same value, here one of four is
    # the right one), times 0.95 for adding: 0.880, or 0.7 for multiplying: 0.648. A few more are
    # right by errors that cancel.
    rng = random.Random(0)
    for question, gold, expected in (("a*b", "21", 0.65), ("a+b", "10", 0.88)):
        answers = [TASK.read_answer(write_answer(question, VALUES, rng)) for _ in range(4000)]
        right = [answer in (gold, f"{gold}.0") for answer in answers]
        assert sum(right) / len(right) == pytest.approx(expected, abs=0.02)
    written = [answer == "10.0" for answer, ok in zip(answers, right, strict=True) if ok]
    assert sum(written) / len(written) == pytest.approx(0.15, abs=0.02)
    verdicts = Counter(write_verdict("10.0", "10", rng) for _ in range(4000))
    assert verdicts["[YES]"] / 4000 == pytest.approx(0.97 * 0.88, abs=0.02)
    assert verdicts["[]"] / 4000 == pytest.approx(0.03, abs=0.01)


def test_the_teachers_questions_can_mostly_be_read():
    rng = random.Random(0)
    found = [read(write_question(VALUES, rng)) for _ in range(2000)]
    read_ones = [proposal for proposal in found if isinstance(proposal, Proposal)]
    found = [read(write_question(VALUES, rng, PRACTICE)) for _ in range(2000)]
    practised = [proposal for proposal in found if isinstance(proposal, Proposal)]
    assert len(read_ones) / 2000 == pytest.approx(0.7, abs=0.03)
    right = [gold_answer(p.question, VALUES) == p.answer for p in read_ones]
    assert 0.7 < sum(right) / len(right) < 0.95
    by_habit, in_practice = (
        Counter(re.sub("[a-z0-9]", "x", read_one.question) for read_one in questions)
        for questions in (read_ones, practised)
    )
    assert by_habit["x*x"] < 0.05 * len(read_ones)
    assert 0.2 < in_practice["x*x"] / len(practised) < 0.3


def test_challenges_are_mostly_problems_about_numbers():
    templates = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)
    rng = random.Random(0)
    found = [draw_challenge(rng, templates) for _ in range(500)]
    assert {prompt for prompt, _ in found} == {"-\nQ:"}
    read_ones = [last_json_object(completion) for _, completion in found]
    questions = [text_field(value, "question") for value in read_ones if value is not None]
    sums = [question for question in questions if question is not None]
    assert len(sums) / 500 == pytest.approx(0.7, abs=0.05)
    assert all(term.isdigit() for question in sums for term in re.split("[+*]", question))


def test_transcripts_are_short_and_have_tokens():
    tokenizer = make_tokenizer()
    templates = Templates("testbed")
    rng = random.Random(0)
    longest = 0
    for _ in range(500):
        prompt, completion = draw_transcript(rng, templates)
        ids = tokenizer.encode(prompt + completion)
        assert tokenizer.unk_token_id not in ids
        longest = max(longest, len(prompt + completion))
        prompt, completion = draw_judgment(rng, templates)
        assert tokenizer.unk_token_id not in tokenizer.encode(prompt + completion)
    assert longest < 200 < CONTEXT_TOKENS


def test_the_files(testbed):
    topics = load_corpus(
        testbed / "documents.jsonl",
        key_column="key",
        min_characters=1,
        duplicate_threshold=None,
    ).topics
    assert len(topics) == NUM_TOPICS
    assert {len(topic.documents) for topic in topics} == {NUM_NOTES}
    rows = [json.loads(line) for line in (testbed / "heldout.jsonl").read_text().splitlines()]
    assert len(rows) == NUM_HELDOUT
    shown = {frozenset(d.text for d in topic.documents) for topic in topics}
    for row in rows:
        *notes, question = row["prompt"].splitlines()
        facts = [fact for note in notes for fact in note.split()]
        values = {NAMES[int(fact[0]) - 1]: int(fact[1]) for fact in facts}
        assert gold_answer(question.rstrip(":"), values) == row["label"]
        assert frozenset(notes) not in shown
    assert (testbed / "base" / "model.safetensors").is_file()


def test_same_seed_gives_the_same_bytes(testbed, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    again = write_selfplay_testbed(
        tmp_path / "again", 0, num_pretraining_steps=2, show_progress=False
    )
    assert torch.equal(torch.rand(3), expected)
    for name in ("base/model.safetensors", "documents.jsonl", "heldout.jsonl"):
        assert (again / name).read_bytes() == (testbed / name).read_bytes()
    assert write_selfplay_testbed(again, 0, num_pretraining_steps=2) == again


def test_other_folders_are_refused(testbed, tmp_path):
    with pytest.raises(InputError, match="which holds other files"):
        write_selfplay_testbed(testbed, 1, num_pretraining_steps=2)
    with pytest.raises(InputError, match="got -1 and 2, expected at least 0 and 1"):
        write_selfplay_testbed(tmp_path / "x", -1, num_pretraining_steps=2)


def test_names_of_a_topic_differ():
    notes = draw_notes(random.Random(0))
    assert len(notes.values) == 8
    assert len(notes.texts) == NUM_NOTES
