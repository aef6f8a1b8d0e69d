"""Which formulas of a report are rendered."""

import pytest

from rl.report.rendered_maths import RenderedMaths, render_maths
from rl.report.shown_rollouts import ShownRollouts, ShownStep


def shown(*completions):
    rollouts = [{"completion": text, "answer": r"\frac12"} for text in completions]
    group = {"prompt": "What is $x$?", "rollouts": rollouts}
    return [ShownRollouts(steps=[ShownStep(step=1, groups=[group])])]


def test_nothing_to_render():
    assert render_maths([ShownRollouts()], max_bytes=100) == RenderedMaths()
    assert RenderedMaths().note == ""


@pytest.mark.medium
def test_every_formula_once_and_no_more_than_fit():
    found = render_maths(shown("$y$, $x$ and 5$", r"$z$ $\unknown$"), max_bytes=1_000)
    assert list(found.trees) == ["$x$", r"$\frac12$", "$y$", "$z$"]
    assert found.note == ""
    none = render_maths(shown("$y$"), max_bytes=10)
    assert (none.trees, none.num_left_out) == ({}, 3)
    assert none.note.startswith("0 different formulas are rendered; 3 more stand as they were")
