"""What is remembered, and what is shown because of it."""

import json
from random import Random

import pytest

from rl.errors import InputError
from rl.selfplay.documents import Document, Topic
from rl.selfplay.spell.memory import Memory, MemoryItem, fill_up

TOPIC = Topic(key="c", documents=tuple(Document(id=f"d{n}", text="x " * n) for n in range(12)))


def item(name, *documents, rate=0.5):
    return MemoryItem(
        documents=tuple(f"d{n}" for n in documents),
        question=f"Which {name}?",
        answer=name,
        success_rate=rate,
    )


def one(document):
    return 1


def context(memory, seed=0, max_tokens=100, count=one, example_tokens=0, topic=TOPIC):
    def room(examples):
        return max_tokens - example_tokens * len(examples)

    return memory.context("qa", topic, Random(seed), room, count)


def visit_often(memory, topic, num_tokens, mode="new", rate=1.0, visits=200, seed=0):
    """Visit a topic with a budget of 16K tokens; return the contexts."""
    rng, found = Random(seed), []
    for number in range(visits):
        found.append(context(memory, rng.random(), 16_384, lambda d: num_tokens[d.id], 100, topic))
        documents = found[-1].new_documents if mode == "new" else found[-1].documents
        if rng.random() < rate:
            ids = [int(document.id[1:]) for document in documents]
            memory.push("qa", topic, item(str(number), *ids))
    return found


def test_an_empty_memory_draws_documents_in_their_order():
    found = context(Memory(num_new_documents=5))
    numbers = [int(document.id[1:]) for document in found.documents]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)
    assert found.new_documents == found.documents
    assert found.examples == ()
    assert found == context(Memory(num_new_documents=5))
    assert found != context(Memory(num_new_documents=5), seed=1)
    assert context(Memory(num_new_documents=50)).documents == TOPIC.documents


def test_first_in_first_out():
    memory = Memory(max_items=3)
    for number, name in enumerate("abcd"):
        assert memory.push("qa", TOPIC, item(name, number))
    assert [i.answer for i in memory.items[("qa", "c")]] == ["b", "c", "d"]
    # Tasks and topics have memories of their own.
    memory.push("math", TOPIC, item("e", 0))
    assert len(memory.items[("qa", "c")]) == 3
    assert not Memory(max_items=0).push("qa", TOPIC, item("a", 0))


def test_the_context_is_the_union_and_new_documents():
    memory = Memory(max_items=3, num_new_documents=2)
    memory.push("qa", TOPIC, item("a", 1, 2))
    memory.push("qa", TOPIC, item("b", 2, 7))
    found = context(memory)
    assert [i.answer for i in found.examples] == ["a", "b"]
    assert {"d1", "d2", "d7"} < {document.id for document in found.documents}
    assert len(found.documents) == 5
    assert len(found.new_documents) == 2
    assert not {"d1", "d2", "d7"} & {document.id for document in found.new_documents}
    assert list(found.documents) == sorted(found.documents, key=lambda d: int(d.id[1:]))
    # When all were shown there is nothing to add.
    memory.push("qa", TOPIC, item("c", *range(12)))
    found = context(memory)
    assert (found.documents, found.new_documents) == (TOPIC.documents, ())


def test_the_same_question_is_remembered_once():
    memory = Memory()
    assert memory.push("qa", TOPIC, item("a", 1))
    assert not memory.push(
        "qa",
        TOPIC,
        MemoryItem(documents=("d5",), question="which  A!", answer="A.", success_rate=0.1),
    )
    other = MemoryItem(documents=("d5",), question="Which a?", answer="b", success_rate=0.1)
    assert memory.push("qa", TOPIC, other)


def test_the_cap_leaves_out_the_oldest_first():
    memory = Memory(num_new_documents=2)
    memory.push("qa", TOPIC, item("a", 1, 2, 3))
    memory.push("qa", TOPIC, item("b", 4))
    # 4 documents are remembered; room for 4 leaves out a, for one new document at least. The
    # topic does not fit, so a draw has a share of 4 // (3 + 1): one document.
    found = context(memory, max_tokens=4)
    assert [i.answer for i in found.examples] == ["b"]
    assert len(found.documents) == 2
    assert len(memory.items[("qa", "c")]) == 2  # only the context is smaller
    # Those that no question is about come first.
    assert not {d.id for d in found.new_documents} & {"d1", "d2", "d3"}
    # Room for 5: both are kept.
    found = context(memory, max_tokens=5)
    assert [i.answer for i in found.examples] == ["a", "b"]
    assert len(found.new_documents) == 1
    assert context(memory, max_tokens=0).documents == ()


@pytest.mark.parametrize("mode", ["new", "shown"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("length", [7500, 4000, 1000])
def test_every_document_is_shown_however_long(length, rate, mode):
    """20 documents, 16K tokens, 200 visits: long ones must not fill the memory for good."""
    topic = Topic(key="c", documents=tuple(Document(id=f"d{n}", text="x") for n in range(20)))
    num_tokens = {document.id: length for document in topic.documents}
    memory = Memory()
    found = visit_often(memory, topic, num_tokens, mode, rate)
    assert {d.id for c in found for d in c.documents} == {d.id for d in topic.documents}
    assert max(len(c.documents) for c in found) * length <= 16_384
    if rate == 1.0:
        # The curriculum is kept: examples are shown with their documents, as many as fit.
        assert [len(c.examples) for c in found[:2]] == [0, 1]
        assert len(found[0].documents) < len(found[1].documents)


def test_a_document_far_longer_than_the_others_is_shown():
    topic = Topic(key="c", documents=tuple(Document(id=f"d{n}", text="x") for n in range(20)))
    num_tokens = {document.id: 1000 for document in topic.documents} | {"d7": 15_000}
    found = visit_often(Memory(), topic, num_tokens)
    assert any("d7" in {d.id for d in c.documents} for c in found)


def test_a_topic_that_fits_grows_as_published():
    """m = 5, L = 3, 20 documents of 800 tokens: 5, 10, 15, then all 20."""
    topic = Topic(key="c", documents=tuple(Document(id=f"d{n}", text="x") for n in range(20)))
    found = visit_often(Memory(), topic, dict.fromkeys((f"d{n}" for n in range(20)), 800))
    assert [len(c.documents) for c in found[:6]] == [5, 10, 15, 20, 20, 20]
    assert [len(c.examples) for c in found[:6]] == [0, 1, 2, 3, 3, 3]


def test_long_examples_are_left_out_before_documents_are():
    """Three examples of 700 tokens at a budget of 2000 used to leave no room for good."""
    memory = Memory()
    for name in "abc":
        memory.push("qa", TOPIC, item(name))
    found = context(memory, max_tokens=2000, count=lambda d: 300, example_tokens=700)
    # Beside two examples there is room for 600, beside three for none.
    assert [i.answer for i in found.examples] == ["b", "c"]
    assert len(found.documents) == 1


def test_a_document_that_does_not_fit_is_passed_over():
    for seed in range(20):
        memory = Memory(num_new_documents=12, max_items=0)
        found = context(memory, seed, 6, lambda d: int(d.id[1:]) + 1)
        assert 0 < sum(int(d.id[1:]) + 1 for d in found.documents) <= 6


def test_a_topic_starts_afresh_when_it_is_mastered():
    memory = Memory(max_items=2, reset_success_rate=0.75)
    # A small topic is covered at once, but a question is an example before it is forgotten.
    memory.push("qa", TOPIC, item("a", *range(12), rate=0.9))
    memory.push("qa", TOPIC, item("b", *range(12), rate=0.7))
    assert len(memory.items[("qa", "c")]) == 2
    memory.push("qa", TOPIC, item("c", 1, rate=0.75))
    assert memory.items[("qa", "c")] == []
    # Not all shown: nothing is forgotten.
    for name in "defg":
        memory.push("qa", TOPIC, item(name, *range(11), rate=0.9))
    assert len(memory.items[("qa", "c")]) == 2


def test_nothing_starts_afresh_by_default():
    memory = Memory(max_items=1)
    for name in "ab":
        memory.push("qa", TOPIC, item(name, *range(12), rate=0.9))
    assert [i.answer for i in memory.items[("qa", "c")]] == ["b"]


def test_a_memory_comes_back_from_json():
    memory, again = Memory(), Memory()
    memory.push("qa", TOPIC, item("a", 1, 2))
    memory.push("math", TOPIC, item("b", 3, rate=0.125))
    state = json.loads(json.dumps(memory.state_dict()))
    again.load_state_dict(state, {"qa": [TOPIC], "math": [TOPIC]})
    assert again == memory
    with pytest.raises(InputError, match="other documents of the topic 'c' of the task qa"):
        again.load_state_dict(state, {"qa": [Topic(key="c", documents=())], "math": [TOPIC]})


def test_tasks_may_have_topics_of_one_name():
    """As where each task's own source has an `embedding 0`."""
    other = Topic(key="c", documents=(Document(id="e0", text="y"),))
    memory, again = Memory(), Memory()
    memory.push("qa", TOPIC, item("a", 1))
    memory.push(
        "math", other, MemoryItem(documents=("e0",), question="?", answer="1", success_rate=0.5)
    )
    topics = {"qa": [TOPIC], "math": [other]}
    again.load_state_dict(json.loads(json.dumps(memory.state_dict())), topics)
    assert again == memory


def test_distractors_fill_the_room():
    evidence = [TOPIC.documents[9], TOPIC.documents[3]]
    everything = fill_up(evidence, TOPIC, Random(0), 100, one)
    assert everything == TOPIC.documents
    some = fill_up(evidence, TOPIC, Random(0), 4, one)
    assert some is not None
    assert len(some) == 4
    assert {"d3", "d9"} < {document.id for document in some}
    assert fill_up(evidence, TOPIC, Random(0), 2, one) == (
        TOPIC.documents[3],
        TOPIC.documents[9],
    )
    assert fill_up(evidence, TOPIC, Random(0), 1, one) is None
