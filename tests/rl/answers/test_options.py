"""The two options: the command line, else what a recipe or manifest says, else ours."""

import argparse

import pytest

from rl.answers import DEFAULT_METHODS, comparer_in_use, use_comparer
from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.errors import InputError


@pytest.fixture
def use():
    def run(*words, **defaults):
        parser = argparse.ArgumentParser()
        add_answer_arguments(parser)
        return use_answer_arguments(parser.parse_args(words), **defaults), comparer_in_use()

    yield run
    use_comparer(None)


def test_who_decides(use):
    saved = {"methods": ["last_number"], "comparer": "operator:eq"}
    assert use() == (DEFAULT_METHODS, None)
    assert use(**saved) == (("last_number",), "operator:eq")
    words = ["--answer_methods", "boxed", "math:sqrt", "--answer_comparer", "operator:ne"]
    assert use(*words, **saved) == (("boxed", "math:sqrt"), "operator:ne")
    assert use("--answer_comparer", "", **saved) == (("last_number",), None)


def test_unknown_names(use):
    with pytest.raises(InputError, match=r"answer_methods: got 'boxd', expected one of .*boxed"):
        use("--answer_methods", "boxd")
    with pytest.raises(InputError, match=r"answer_comparer: got 'none.py:f', expected an existing"):
        use("--answer_comparer", "none.py:f")
