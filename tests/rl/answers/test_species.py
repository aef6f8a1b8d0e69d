"""A capital before an epithet: a genus where the list has both together, else an option."""

import re

import pytest

from rl.answers.species import NOT_A_SPECIES


@pytest.mark.parametrize(
    "text",
    [
        "E. coli",
        "E.coli",
        "S. aureus",
        "C. diff",
        "E. coli strain",
        r"E.\ coli",
        r"E.\,coli",
        "E.~coli",
    ],
)
def test_a_genus(text):
    assert re.match(f"[A-Z]{NOT_A_SPECIES}", text) is None


@pytest.mark.parametrize(
    "text", ["E", "E.", "E. cold", "E coli", "B. aureus", "E. Coli", "E) coli"]
)
def test_an_option(text):
    assert re.match(f"[A-Z]{NOT_A_SPECIES}", text)
