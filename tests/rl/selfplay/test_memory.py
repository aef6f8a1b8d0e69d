"""What is remembered, and what is shown because of it."""

import json
from random import Random

import pytest

from rl.errors import InputError
from rl.selfplay.documents import Cluster, Document
from rl.selfplay.memory import Memory, MemoryItem, fill_up

CLUSTER = Cluster(key="c", documents=tuple(Document(id=f"d{n}", text="x " * n) for n in range(12)))


def item(name, *documents, rate=0.5):
    return MemoryItem(
        documents=tuple(f"d{n}" for n in documents),
        question=f"Which {name}?",
        answer=name,
        success_rate=rate,
    )


def one(document):
    return 1


def context(memory, seed=0, max_tokens=100, count=one):
    return memory.context("qa", CLUSTER, Random(seed), max_tokens, count)


def test_an_empty_memory_draws_documents_in_their_order():
    found = context(Memory(num_new_documents=5))
    numbers = [int(document.id[1:]) for document in found.documents]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)
    assert found.new_documents == found.documents
    assert found.examples == ()
    assert found == context(Memory(num_new_documents=5))
    assert found != context(Memory(num_new_documents=5), seed=1)
    assert context(Memory(num_new_documents=50)).documents == CLUSTER.documents


def test_first_in_first_out():
    memory = Memory(max_items=3)
    for number, name in enumerate("abcd"):
        assert memory.push("qa", CLUSTER, item(name, number))
    assert [i.answer for i in memory.items[("qa", "c")]] == ["b", "c", "d"]
    # Tasks and clusters have memories of their own.
    memory.push("math", CLUSTER, item("e", 0))
    assert len(memory.items[("qa", "c")]) == 3
    assert not Memory(max_items=0).push("qa", CLUSTER, item("a", 0))


def test_the_context_is_the_union_and_new_documents():
    memory = Memory(max_items=3, num_new_documents=2)
    memory.push("qa", CLUSTER, item("a", 1, 2))
    memory.push("qa", CLUSTER, item("b", 2, 7))
    found = context(memory)
    assert [i.answer for i in found.examples] == ["a", "b"]
    assert {"d1", "d2", "d7"} < {document.id for document in found.documents}
    assert len(found.documents) == 5
    assert len(found.new_documents) == 2
    assert not {"d1", "d2", "d7"} & {document.id for document in found.new_documents}
    assert list(found.documents) == sorted(found.documents, key=lambda d: int(d.id[1:]))
    # When all were shown there is nothing to add.
    memory.push("qa", CLUSTER, item("c", *range(12)))
    found = context(memory)
    assert (found.documents, found.new_documents) == (CLUSTER.documents, ())


def test_the_same_question_is_remembered_once():
    memory = Memory()
    assert memory.push("qa", CLUSTER, item("a", 1))
    assert not memory.push(
        "qa",
        CLUSTER,
        MemoryItem(documents=("d5",), question="which  A!", answer="A.", success_rate=0.1),
    )
    other = MemoryItem(documents=("d5",), question="Which a?", answer="b", success_rate=0.1)
    assert memory.push("qa", CLUSTER, other)


def test_the_cap_leaves_out_the_oldest_first():
    memory = Memory(num_new_documents=2)
    memory.push("qa", CLUSTER, item("a", 1, 2, 3))
    memory.push("qa", CLUSTER, item("b", 4))
    # 4 documents are remembered; room for 3 forgets a and its three, then adds two new ones.
    found = context(memory, max_tokens=3)
    assert [i.answer for i in found.examples] == ["b"]
    assert len(found.documents) == 3
    assert len(memory.items[("qa", "c")]) == 2  # only the context is smaller
    # Room for 4: both are kept, nothing new fits.
    found = context(memory, max_tokens=4)
    assert [i.answer for i in found.examples] == ["a", "b"]
    assert found.new_documents == ()
    assert context(memory, max_tokens=0).documents == ()


def test_a_document_that_does_not_fit_is_passed_over():
    found = context(Memory(num_new_documents=12), 0, 6, lambda d: int(d.id[1:]) + 1)
    assert sum(int(d.id[1:]) + 1 for d in found.documents) <= 6
    assert found.documents


def test_a_cluster_starts_afresh_when_it_is_mastered():
    memory = Memory()
    memory.push("qa", CLUSTER, item("a", *range(12), rate=0.7))
    assert memory.items[("qa", "c")]
    memory.push("qa", CLUSTER, item("b", 1, rate=0.75))
    assert memory.items[("qa", "c")] == []
    # Not all shown, or switched off: nothing is forgotten.
    memory.push("qa", CLUSTER, item("c", *range(11), rate=0.9))
    assert len(memory.items[("qa", "c")]) == 1
    never = Memory(reset_success_rate=None)
    never.push("qa", CLUSTER, item("a", *range(12), rate=0.9))
    assert never.items[("qa", "c")]


def test_a_memory_comes_back_from_json():
    memory, again = Memory(), Memory()
    memory.push("qa", CLUSTER, item("a", 1, 2))
    memory.push("math", CLUSTER, item("b", 3, rate=0.125))
    again.load_state_dict(json.loads(json.dumps(memory.state_dict())), [CLUSTER])
    assert again == memory
    with pytest.raises(InputError, match="other documents of the cluster 'c'"):
        again.load_state_dict(memory.state_dict(), [Cluster(key="c", documents=())])


def test_distractors_fill_the_room():
    evidence = [CLUSTER.documents[9], CLUSTER.documents[3]]
    everything = fill_up(evidence, CLUSTER, Random(0), 100, one)
    assert everything == CLUSTER.documents
    some = fill_up(evidence, CLUSTER, Random(0), 4, one)
    assert some is not None
    assert len(some) == 4
    assert {"d3", "d9"} < {document.id for document in some}
    assert fill_up(evidence, CLUSTER, Random(0), 2, one) == (
        CLUSTER.documents[3],
        CLUSTER.documents[9],
    )
    assert fill_up(evidence, CLUSTER, Random(0), 1, one) is None


def test_bad_settings():
    with pytest.raises(InputError, match="got -1 and 5, expected at least 0 and 1"):
        Memory(max_items=-1)
