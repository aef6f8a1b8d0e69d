"""Formulas as MathML, and nothing else in them."""

from time import monotonic

import pytest

from rl.report import mathml
from rl.report.mathml import to_tree, to_trees

INLINE = {"display": "inline"}


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("$x$", ["math", INLINE, ["mi", "x"]]),
        (r"$\frac12$", ["math", INLINE, ["mfrac", ["mn", "1"], ["mn", "2"]]]),
        (r"\[\pi\]", ["math", {"display": "block"}, ["mi", "π"]]),
        (r"\boxed{7}", ["math", INLINE, ["menclose", {"notation": "box"}, ["mn", "7"]]]),
        # What a converter's text would turn into a tag is a text here.
        (r"$\text{<b>}$", ["math", INLINE, ["mtext", "<b>"]]),
        (r"$\text{&lt;b}$", ["math", INLINE, ["mtext", "&lt;b"]]),
        (r"$\unicode{x3c}$", ["math", INLINE, ["mi", "<"]]),
        # Addresses, styles, colours and widths that would leave the line are dropped.
        (r"$\href{javascript:a()}{x}$", ["math", INLINE, ["mrow", ["mi", "x"]]]),
        (r"$\style{color:red}{x}$", ["math", INLINE, ["mrow", ["mi", "x"]]]),
        (r"$\color{red}x$", ["math", INLINE, ["mstyle", ["mi", "x"]]]),
        (r"$\hspace{99em}$", ["math", INLINE, ["mspace"]]),
    ],
)
def test_what_is_kept_of_a_formula(source, tree):
    assert to_tree(source) == tree


@pytest.mark.parametrize(
    "source",
    [
        "$$$$",
        r"$\frac{1$",  # a fraction of one part
        r"$\unknown{x}$",
        r"$\phantom{x}$",  # a reader would not see it
        r"$\newcommand{\a}{\b\b}\a$",
        r"$\def\a{\a\a}\a$",
        r"$\let\a\b$",
        "$" + "{" * 2_000 + "x" + "}" * 2_000 + "$",
        "$" + "_{x" * 60 + "}" * 60 + "$",
        "$" + "x" * 2_000 + "$",
        r"\begin{align*}x",
        "$\x00\ud800^$",
    ],
)
def test_what_stays_as_it_was_written(source):
    assert to_tree(source) is None


def test_too_many_elements():
    # math, mrow and one element for each letter.
    assert to_tree("$" + "x" * 998 + "$") is not None
    assert to_tree("$" + "x" * 999 + "$") is None


def test_nothing_to_convert_and_no_time():
    assert list(to_trees([], 10)) == []
    assert list(to_trees(["$x$"], 0)) == []


@pytest.mark.medium
def test_batches_come_from_a_worker():
    found = list(to_trees(["$x$", r"$\unknown$", "$y$"], 60, batch_size=2))
    assert [tried for tried, _ in found] == [2, 1]
    assert [list(trees) for _, trees in found] == [["$x$"], ["$y$"]]
    assert found[0][1]["$x$"] == to_tree("$x$")


@pytest.mark.medium
def test_a_formula_that_hangs_or_kills_the_worker_is_alone_in_that(monkeypatch):
    monkeypatch.setattr(mathml, "BATCH_SECONDS", 1.0)
    hostile = ["'a'", "__import__('time').sleep(99)", "__import__('os')._exit(1)", "'b'"]
    start = monotonic()
    assert list(to_trees(hostile, 60, convert=eval)) == [(4, {"'a'": "a", "'b'": "b"})]
    assert monotonic() - start < 30
