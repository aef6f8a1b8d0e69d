"""Which formulas of a report are rendered, and how they look in a browser."""

import pytest

from rl.report.rendered_maths import RenderedMaths, render_maths
from rl.report.shown_rollouts import ShownRollouts, ShownStep
from rl.report.writing import write_report


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


@pytest.mark.medium
def test_formulas_are_rendered_and_their_source_is_a_switch_away(
    open_report, tmp_path, write_run, make_line
):
    line = make_line(
        0,
        r"\frac{1}{2}",
        1.0,
        prompt=r"What is $\frac{3}{6}$, for $5 and $10?",
        completion=r"So \[x = \frac{1}{2}\] and \boxed{x}, not $\unknown{y}$.",
    )
    folder = write_run(tmp_path / "run", rollouts={1: [line]})
    write_report([folder], tmp_path / "report.html")
    page = open_report(tmp_path / "report.html")
    assert page.locator(".prompt mfrac").count() == 1
    assert "for $5 and $10?" in page.locator(".prompt").inner_text()
    assert page.locator(".completion math").count() == 2
    assert page.locator(".completion .rendered").first.get_attribute("title") == (
        r"\[x = \frac{1}{2}\]"
    )
    assert page.locator(".classes button mfrac, .rollout h4 mfrac").count() == 2
    # A fraction is drawn as one: its parts stand above each other.
    above, below = (page.locator(".prompt mfrac > *").nth(i).bounding_box() for i in (0, 1))
    assert above["y"] + above["height"] <= below["y"] + 1
    assert r"$\unknown{y}$" in page.locator(".completion").inner_text()
    page.fill("#text", "frac{1}")
    assert page.locator(".completion mark math").count() == 1
    page.fill("#text", "")
    page.select_option("#formulas", "source")
    assert page.locator(".completion").inner_text() == line["completion"]
    assert page.locator("math").locator("visible=true").count() == 0
    assert page.noise == []


@pytest.mark.medium
def test_formulas_of_a_hostile_model_run_nothing(open_report, tmp_path, write_run, make_line):
    hostile = (
        r"\text{</mtext><script>window.hacked=1</script><img src=x onerror=window.hacked=2>}",
        r"\href{javascript:window.hacked=3}{x}",
        r"\style{background:url(http://a/b)}{x}",
        r"\class{skip}{x}",
        r"\unicode{x3c}img src=x onerror=window.hacked=4\unicode{x3e}",
        r"\textcolor{red;background:url(http://a/c)}{x}",
        r"\hspace{9999em}x",
        "&#x3c;script&#x3e;window.hacked=5",
    )
    line = make_line(0, hostile[0], 1.0, completion="\n".join(f"${text}$" for text in hostile))
    folder = write_run(tmp_path / "run", rollouts={1: [line]})
    write_report([folder], tmp_path / "report.html")
    page = open_report(tmp_path / "report.html")
    assert page.locator(".completion math").count() == len(hostile)
    assert page.locator("main img, main script, math a, math [href], math [style]").count() == 0
    assert page.locator("math [class], math [mathcolor], math [mathbackground]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    page.locator(".completion math").nth(1).click()
    assert page.evaluate("window.hacked") is None
    assert page.noise == []


@pytest.mark.medium
def test_a_page_says_what_is_not_rendered(tmp_path, write_run, make_line):
    line = make_line(0, "1", 1.0, completion=r"$x$ and \(y\)")
    metrics = [{"step": i, "reward": i / 10} for i in (1, 2, 3)]
    folder = write_run(tmp_path / "run", metrics=metrics, rollouts={1: [line]})
    # The library that draws the curves is larger than this page may be.
    *_, note = write_report([folder], tmp_path / "report.html", max_megabytes=1)
    assert note.startswith("0 different formulas are rendered; 2 more stand as they were written")
    page = (tmp_path / "report.html").read_text()
    assert f"{note.split(',')[0]}," in page
    assert 'id="maths"' not in page
    assert 'id="formulas"' not in page
