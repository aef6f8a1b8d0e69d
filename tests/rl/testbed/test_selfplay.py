"""The testbed's files; the model's quality is measured by studies, not here."""

import json

import pytest
import torch

from rl.errors import InputError
from rl.selfplay.documents import load_corpus
from rl.testbed.selfplay import (
    NUM_HELDOUT,
    NUM_TOPICS,
    ORACLE_FORM,
    QUESTIONS_PER_TOPIC,
    build_selfplay,
)
from rl.testbed.selfplay_notes import NAMES, NUM_NOTES, form_of, gold_answer
from rl.testbed.selfplay_teacher import HABIT, HELDOUT_FORMS


def build(folder, seed=0):
    return build_selfplay(folder, seed=seed, num_pretraining_steps=2, show_progress=False)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testbed") / "t"
    assert not build(folder)
    return folder


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def notes_and_question(row):
    *notes, question = row["prompt"].splitlines()
    return notes, question.rstrip(":")


def topics_of(testbed):
    corpus = load_corpus(
        testbed / "documents.jsonl", key_column="key", min_characters=1, duplicate_threshold=None
    )
    return [frozenset(d.text for d in topic.documents) for topic in corpus.topics]


def test_labels_are_right(testbed):
    files = [testbed / "heldout.jsonl", *(testbed / "questions").glob("*.jsonl")]
    for row in [row for path in files for row in read(path)]:
        notes, question = notes_and_question(row)
        facts = [fact for note in notes for fact in note.split()]
        values = {NAMES[int(fact[0]) - 1]: int(fact[1]) for fact in facts}
        assert gold_answer(question, values) == row["label"]


def test_held_out_questions_are_about_other_notes(testbed):
    topics = topics_of(testbed)
    assert len(topics) == NUM_TOPICS
    assert {len(topic) for topic in topics} == {NUM_NOTES}
    rows = read(testbed / "heldout.jsonl")
    assert len(rows) == NUM_HELDOUT * len(HELDOUT_FORMS)
    assert all(frozenset(notes_and_question(row)[0]) not in topics for row in rows)
    for name, form in HELDOUT_FORMS.items():
        own = read(testbed / "heldout" / f"{name}.jsonl")
        assert {form_of(notes_and_question(row)[1]) for row in own} == {form}
        assert own == [row for row in rows if form_of(notes_and_question(row)[1]) == form]


def test_the_controls_questions_are_about_the_documents(testbed):
    topics = topics_of(testbed)
    for name, forms in (("oracle", {ORACLE_FORM}), ("mix", set(HABIT))):
        rows = read(testbed / "questions" / f"{name}.jsonl")
        assert len(rows) == NUM_TOPICS * QUESTIONS_PER_TOPIC
        found = [notes_and_question(row) for row in rows]
        assert {frozenset(notes) for notes, _ in found} == set(topics)
        assert {form_of(question) for _, question in found} == forms


def test_same_seed_gives_the_same_bytes(testbed, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(tmp_path / "again")
    assert torch.equal(torch.rand(3), expected)
    for name in ("base/model.safetensors", "documents.jsonl", "heldout.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (testbed / name).read_bytes()


def test_a_finished_testbed_is_used_again_and_another_refused(testbed):
    assert build(testbed)
    with pytest.raises(InputError, match="testbed with other settings"):
        build(testbed, seed=1)
