"""Classes of answers by what they mean, with the real all-MiniLM-L6-v2."""

import csv
import random
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from rl.answers import cluster_answers, same_answer, use_comparer
from rl.answers.meaning import Meaning, complete_linkage, is_in_words, plain_text
from rl.errors import InputError
from rl.evaluation.grading import grade
from rl.evaluation.records import SampleRecord
from rl.groups.scoring import answer_groups
from rl.types import Group, Rollout

PAIRS = Path(__file__).parents[3] / "scripts/measurements/meaning_pairs.tsv"


@pytest.fixture
def by_meaning():
    use_comparer("meaning")
    yield
    use_comparer(None)


# Classes from similarities.


def test_no_class_is_a_chain():
    # 0 and 2 are not alike: of the two pairs that are, the likelier one is joined, 1 and 2.
    table = np.array([[1, 0.8, 0.1], [0.8, 1, 0.9], [0.1, 0.9, 1]])
    assert complete_linkage(table, 0.7) == [0, 1, 1]
    assert complete_linkage(table, 0.95) == [0, 1, 2]
    assert complete_linkage(table, 0.1) == [0, 0, 0]


def test_of_equal_pairs_the_first_is_joined():
    table = np.array([[1, 0.8, 0.2], [0.8, 1, 0.8], [0.2, 0.8, 1]])
    assert complete_linkage(table, 0.8) == [0, 0, 2]


def test_classes_of_no_item_and_of_one():
    assert complete_linkage(np.empty((0, 0)), 0.5) == []
    assert complete_linkage(np.array([[1.0]]), 0.5) == [0]


# Answers.


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        ([], []),
        ([None, None], [None, None]),
        (["left lung", None, "the lung on the left side", "right lung"], [0, None, 0, 1]),
        # What words say goes before the model.
        (["increased heart rate", "decreased heart rate"], [0, 1]),
        (["stage II", "stage III", "Stage ii."], [0, 1, 0]),
        # Numbers, maths and letters stay with our rules.
        (["0.5", r"\\frac12", "half of it", "1/3"], [0, 0, 1, 2]),
        (["C", "D", "C"], [0, 1, 0]),
        # Units tell numbers apart here; 5 goes with the one that comes first in the alphabet.
        (["5 mg", "5 kg", "5"], [0, 1, 1]),
        # Lists are compared by rule: in any order.
        (["liver, kidney", "kidney, liver", "liver, lung"], [0, 0, 1]),
    ],
)
def test_classes(by_meaning, answers, classes):
    answers = [None if a is None else a.replace("\\\\", "\\") for a in answers]
    assert cluster_answers(answers) == classes


def test_classes_do_not_depend_on_order_and_number(by_meaning):
    answers = ["chest pain", "pain in the chest", "back pain", "pain of the back", "fever"]

    def parts(order):
        found = cluster_answers(order)
        return {frozenset(a for a, c in zip(order, found, strict=True) if c == n) for n in found}

    expected = parts(answers)
    assert len(expected) == 3
    for order in list(permutations(answers))[::17]:
        assert parts(list(order)) == expected
    assert parts([*answers, "fever", "chest pain", "chest pain"]) == expected


def test_hostile_texts_are_compared_as_any_other(by_meaning):
    texts = [
        "\ud800 lung",
        "lung\x00",
        "<script>lung</script>",
        "lung " * 3000,
        "\u202elung",
        "(((",
    ]
    found = cluster_answers(texts)
    assert len(found) == len(texts)
    assert None not in found


def test_what_is_in_words():
    words = ["left lung", "MRI", "X-ray", "E. coli", "type 2 diabetes", r"\text{left lung}"]
    assert all(map(is_in_words, words))
    others = ["5 mg", "12", "C", "x+y", "1, 2", "a=b", r"\frac12", "", "2x", "liver, kidney"]
    assert not any(map(is_in_words, others))
    assert plain_text("The Liver.") == "Liver"
    assert plain_text("theory") == "theory"


# Where classes are used.


def test_votes_grades_and_groups_mean_the_same_by_same(by_meaning):
    assert same_answer("chest pain", "pain in the chest")
    texts = [r"\boxed{chest pain}", r"\boxed{pain in the chest}", r"\boxed{back pain}", "?"]
    rollouts = tuple(Rollout(completion=text) for text in texts)
    [group] = answer_groups([Group(prompt_id="p", prompt="q", rollouts=rollouts)], ("boxed",))
    assert [rollout.cluster for rollout in group.rollouts] == [0, 0, 1, None]
    samples = [
        SampleRecord(
            problem_id="1",
            sample=i,
            completion=text,
            label="The chest pain",
            seed=0,
            prompt_id="p",
            num_tokens=3,
            truncated=False,
        )
        for i, text in enumerate(texts)
    ]
    assert [sample.correct for sample in grade(samples)] == [True, True, False, False]


def test_the_threshold_is_a_setting():
    answers = ["chest pain", "pain in the chest"]
    assert Meaning(threshold=1.0).classes(answers, [0, 1]) == [0, 1]
    assert Meaning(threshold=0.1).classes(["liver", "kidney"], [0, 1]) == [0, 0]
    for threshold in (-0.1, 1.1, "high"):
        with pytest.raises(InputError, match=r"Meaning.threshold: got"):
            Meaning(threshold=threshold)
    with pytest.raises(InputError, match="embedder_url: got 'nowhere'"):
        Meaning(url="nowhere")


def test_labelled_pairs_are_told_apart_as_the_readme_says():
    """A part of what scripts/measurements/meanings.py measures on all of them."""
    rows = list(csv.DictReader(PAIRS.open(), delimiter="\t"))
    assert len(rows) == 244
    meaning, wrong = Meaning(), 0
    for row in random.Random(0).sample(rows, 30):
        pair = [row["left"], row["right"]]
        found = meaning.classes(pair, cluster_answers(pair))
        wrong += found[0] == found[1] and row["verdict"] == "different"
    assert wrong <= 2
