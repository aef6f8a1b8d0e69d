"""A task's own answers: its extractor and comparer reach votes, rewards, audits and grading."""

import pytest

from rewards import get_reward
from rl.answers import (
    DEFAULT_METHODS,
    cluster_answers,
    comparer_in_use,
    extract_answer,
    same_answer,
    use_comparer,
)
from rl.answers.plugins import cluster_by, extract_with, same_by
from rl.errors import InputError
from rl.evaluation.grading import grade, grader_version
from rl.evaluation.records import SampleRecord
from rl.groups.metrics import audit_metrics
from rl.groups.scoring import ScoredGroup, answer_groups
from rl.types import Group, Rollout

# Answers are cities; upper and lower case and a trailing remark do not matter.
TASK = """
import re

def city(completion):
    found = re.search("city: (.*)", completion)
    return found and found[1]

def same_city(left, right):
    return left.lower().startswith(right.lower())

def next_to(left, right):
    return int(right) == int(left) + 1

def broken(completion):
    return 1 / 0

def number(completion):
    return 7

def seven(left, right):
    return 7
"""


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "cities.py"
    path.write_text(TASK)
    yield str(path)
    use_comparer(None)


def test_an_extractor_of_ones_own(task):
    methods = [f"{task}:city"]
    assert extract_answer("I think.\ncity:  Paris \n", methods=methods) == "Paris"
    assert extract_answer(r"\boxed{Rome}", methods=methods) is None
    assert extract_answer(r"\boxed{Rome}", methods=[*methods, "boxed"]) == "Rome"
    # A thought holds no answer, whoever looks for it; nothing but spaces is none.
    assert extract_answer("<think>city: Rome</think>city: Oslo", methods=methods) == "Oslo"
    assert extract_answer("city:  ", methods=methods) is None


def test_a_comparer_is_asked_both_ways_and_closed(task):
    name = f"{task}:same_city"
    assert same_by(name, "Paris, France", "paris")
    assert same_by(name, "paris", "Paris, France")
    assert not same_by(name, "Oslo", "Rome")
    # 1 ~ 2 and 2 ~ 3, so 1, 2 and 3 are one class; 2 comes last and joins the two.
    assert cluster_by(f"{task}:next_to", ["3", "1", None, "7", "2", "3"]) == [0, 0, None, 1, 0, 0]
    assert cluster_by(name, []) == []
    assert cluster_by(name, [None]) == [None]


def test_errors_name_the_plugin(task):
    message = r"cities.py:broken, called with 'text': got ZeroDivisionError: .* at .*cities.py:15"
    with pytest.raises(InputError, match=message):
        extract_with(f"{task}:broken", "text")
    with pytest.raises(InputError, match=r"cities.py:number': got 7, expected text or None"):
        extract_with(f"{task}:number", "text")
    with pytest.raises(InputError, match=r"cities.py:seven': got 7 for 'a' and 'b', expected Tr"):
        same_by(f"{task}:seven", "a", "b")
    with pytest.raises(InputError, match=r"answer_comparer: got 'none.py:same', expected an exist"):
        use_comparer("none.py:same")


def test_one_comparer_decides_everywhere(task):
    assert cluster_answers(["Paris", "paris, France"]) == [0, 1]
    use_comparer(f"{task}:same_city")
    assert comparer_in_use() == f"{task}:same_city"
    assert same_answer("paris", "Paris, France")
    assert not same_answer("1/2", "0.5")
    assert not same_answer(None, "paris")

    # Votes: three of four name Paris.
    texts = ["city: Paris", "city: paris, France", "city: Rome", "city: PARIS"]
    group = Group(
        prompt_id="p", prompt="", rollouts=tuple(Rollout(completion=text) for text in texts)
    )
    [answered] = answer_groups([group], [f"{task}:city"])
    assert [rollout.cluster for rollout in answered.rollouts] == [0, 0, 1, 0]

    # Rewards that compare for themselves: the supervised control with its label.
    reward = get_reward("correctness")
    reward.set_labels({"p": "PARIS"})
    assert reward(answered) == [1.0, 1.0, 0.0, 1.0]

    # Audits.
    scored = ScoredGroup(
        group=answered, row=0, rewards={}, reward=[1.0, 1.0, 0.0, 1.0], reward_seconds={}
    )
    assert audit_metrics([scored], {0: "paris"})["audit/accuracy"] == 0.75

    # Grading.
    facts = {"problem_id": "p", "prompt_id": "", "seed": 0, "num_tokens": 1, "truncated": False}
    samples = [
        SampleRecord(sample=i, completion=text, label="PARIS", **facts)
        for i, text in enumerate(texts)
    ]
    graded = grade(samples, [f"{task}:city"])
    assert [sample.cluster for sample in graded] == [0, 0, 1, 0]
    assert [sample.correct for sample in graded] == [True, True, False, True]
    use_comparer(None)
    assert cluster_answers(["Paris", "paris, France", "1/2", "0.5"]) == [0, 1, 2, 2]


def test_the_graders_version_knows_the_task(task, tmp_path):
    ours = grader_version()
    assert ours == grader_version(DEFAULT_METHODS, None)
    other = tmp_path / "other.py"
    other.write_text(TASK + "\n# changed")
    versions = {
        ours,
        grader_version(("boxed",)),
        grader_version((f"{task}:city",)),
        grader_version((f"{other}:city",)),
        grader_version((f"{task}:city",), f"{task}:same_city"),
    }
    assert len(versions) == 5
