"""Comparers by name and settings, and what a wrong one says."""

import pytest

from rl.answers import cluster_answers, comparer_in_use, use_comparer
from rl.answers.comparers import COMPARERS, ComparerError, classes_by, comparer_name
from rl.answers.meaning import Meaning
from rl.errors import InputError
from rl.evaluation.grading import grader_version


@pytest.fixture(autouse=True)
def ours_again():
    yield
    use_comparer(None)


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("meaning", "meaning"),
        ({"meaning": None}, "meaning"),
        ({"meaning": {}}, "meaning"),
        ({"meaning": {"threshold": 0.8}}, '{"meaning": {"threshold": 0.8}}'),
        ("{meaning: {threshold: 0.8}}", '{"meaning": {"threshold": 0.8}}'),
    ],
)
def test_a_setting_is_one_text_that_names_it_again(setting, name):
    assert comparer_name(setting) == name
    assert comparer_name(name) == name
    use_comparer(setting)
    assert comparer_in_use() == name
    assert cluster_answers(["liver", "the liver", None]) == [0, 0, None]


def test_settings_decide():
    use_comparer({"meaning": {"threshold": 0.2}})
    assert cluster_answers(["liver", "kidney"]) == [0, 0]
    use_comparer({"meaning": {"threshold": 1.0}})
    assert cluster_answers(["liver", "kidney"]) == [0, 1]
    versions = {grader_version(("boxed",), name) for name in (None, "meaning", comparer_in_use())}
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("meanings", "answer_comparer: got 'meanings', expected one of meaning. Did you mean"),
        ({"meaning": {"treshold": 1}}, "setting of answer_comparer.meaning: got 'treshold'"),
        ({"meaning": {"threshold": 2}}, "answer_comparer.meaning.threshold: got 2"),
        ({"meaning": {"model": ""}}, "answer_comparer.meaning.model: got ''"),
        ({"meaning": {}, "other": {}}, "expected one name, or one with its settings"),
        ({}, "expected one name"),
        ("{meaning: [}", "answer_comparer"),
        ("none.py:f", "answer_comparer: got 'none.py:f'"),
    ],
)
def test_what_names_no_comparer_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        use_comparer(setting)


def test_one_that_fails_is_one_line(monkeypatch):
    class Failing:
        def classes(self, answers, by_rule):
            raise ComparerError("embedder x: got no answer.")

    monkeypatch.setitem(COMPARERS, "failing", Failing)
    with pytest.raises(InputError, match=r"answer_comparer, embedder x: got no answer\."):
        classes_by("failing", ["a"], lambda answers: [0])


def test_every_built_in_can_be_found():
    assert comparer_name("meaning") == "meaning"
    assert list(COMPARERS) == ["meaning"]
    assert Meaning().threshold == 0.76
