"""The two options: the command line, else what a recipe or manifest says, else ours."""

import argparse

import pytest

from rl.answers import DEFAULT_METHODS, comparer_in_use, use_comparer
from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.errors import InputError


@pytest.fixture
def use():
    def run(*words, saved=None):
        parser = argparse.ArgumentParser()
        add_answer_arguments(parser)
        return use_answer_arguments(parser.parse_args(words), saved or {}), comparer_in_use()

    yield run
    use_comparer(None)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "task.py"
    path.write_text(
        "def same(left, right):\n    return left == right\n"
        "def find(completion):\n    return completion\n"
    )
    return str(path)


def test_who_decides(use, task):
    same, other = f"{task}:same", f"{task.replace('task.py', './task.py')}:same"
    saved = {"answer_methods": ["last_number"], "answer_comparer": same, "seed": 1}
    assert use() == (DEFAULT_METHODS, None)
    assert use(saved=saved) == (("last_number",), same)
    words = ["--answer_methods", "boxed", f"{task}:find", "--answer_comparer", other]
    assert use(*words, saved=saved) == (("boxed", f"{task}:find"), other)
    assert use("--answer_comparer", "", saved=saved) == (("last_number",), None)


def test_what_a_saved_evaluation_names_is_not_run(use, task, monkeypatch):
    monkeypatch.setattr("rl.plugins._allowed", set())
    with pytest.raises(InputError, match=r"answer_comparer: got '.*task.py:same', which would run"):
        use(saved={"answer_comparer": f"{task}:same"})
    with pytest.raises(InputError, match=r"answer_methods: got '.*task.py:find', which would run"):
        use(saved={"answer_methods": [f"{task}:find"]})
    assert use("--answer_comparer", f"{task}:same")[1] == f"{task}:same"


def test_unknown_names(use):
    with pytest.raises(InputError, match=r"answer_methods: got 'boxd', expected one of .*boxed"):
        use("--answer_methods", "boxd")
    with pytest.raises(InputError, match=r"answer_comparer: got 'none.py:f', expected an existing"):
        use("--answer_comparer", "none.py:f")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"answer_methods": 5}, "answer_methods: got 5, expected"),
        ({"answer_methods": "boxed"}, "answer_methods: got 'boxed', expected"),
        ({"answer_methods": [None]}, "answer_methods.*got None, expected"),
        ({"answer_comparer": 5}, "answer_comparer: got 5, expected"),
        ({"answer_comparer": {"meaning": 5}}, "answer_comparer.*got 5, expected"),
    ],
)
def test_a_file_that_says_something_else(use, saved, message):
    with pytest.raises(InputError, match=message):
        use(saved=saved)
