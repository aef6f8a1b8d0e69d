"""The page in a real browser: what it shows, how it is used, and that model text runs nothing."""

import json

import pytest

from rl.report.folders import read_folders
from rl.report.page import render_page
from rl.report.rendered_maths import render_maths
from rl.report.shown_rollouts import choose_all_rollouts

HOSTILE = (
    '<script>window.hacked=1</script></script><img src=x onerror="window.hacked=2"><!-- '
    "<svg/onload=window.hacked=3>\u2028\u2029';window.hacked=4;//\"${window.hacked=5}`"
    '<a href="javascript:window.hacked=6">click</a> javascript:window.hacked=7 '
    '<iframe srcdoc="<script>parent.hacked=8</script>"></iframe>\x00\ud800 \u202etxet'
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_run, make_line):
    """Two runs over the same prompts; the second one is finished and supervised."""
    root = tmp_path_factory.mktemp("runs")
    for name, supervised in (("ttrl", False), ("control", True)):
        metrics = [
            {"step": i, "reward": i / 10, "entropy": 1 / i, "audit/accuracy": 0.5, "vote/new": 1.0}
            for i in range(1, 8)
        ]
        metrics += [{"step": i, "eval/pass@1": i / 10} for i in (1, 4, 7)]
        # One or two points make no curve.
        metrics += [{"step": i, "eval/once": 0.5} for i in (1, 7)]
        label = {"pseudo_label": "3"}
        rollouts = {
            step: [
                line
                for prompt in ("p0", "p1")
                for line in (
                    make_line(0, "3", 1.0, step=step, prompt_id=prompt, selected=True, **label),
                    make_line(1, "4", -0.5, step=step, prompt_id=prompt, truncated=True),
                    make_line(2, "3", 1.0, step=step, prompt_id=prompt, trained=False),
                    make_line(3, None, None, step=step, prompt_id=prompt, trained=False),
                )
            ]
            for step in (1, 5)
        }
        summary = {"before": {"pass@1": 0.5, "pass@4": 0.75}, "after": {"pass@1": 0.6, "pass@4": 1}}
        settings = {"model": "m", "supervised": supervised, "rewards": {"majority_vote": {}}}
        write_run(
            root / name, metrics=metrics, rollouts=rollouts, settings=settings, summary=summary
        )
    return root


def write_page(folders, path, **limits):
    found = read_folders(folders)
    shown = choose_all_rollouts(found, **limits)
    maths = render_maths(shown, max_bytes=100_000)
    page = render_page(found, shown, maths, smoothing=1, date="2026-01-01")
    path.write_bytes(page.encode("utf-8", errors="replace"))
    return path


@pytest.fixture(scope="module")
def report(runs):
    return write_page([runs / "ttrl", runs / "control"], runs / "report.html")


def chosen(page, name):
    return page.locator(f"#{name} option:checked").inner_text()


def completions(page):
    return page.locator(".rollout").count()


def test_two_runs_overlay_in_every_chart(open_report, report):
    page = open_report(report)
    charts = page.locator("#charts > .charts figure")
    titles = charts.locator("figcaption").all_inner_texts()
    assert [title.split("\n")[0] for title in titles] == [
        "Reward",
        "Entropy of the policy",
        "Evaluated: pass@1",
        "Audit: accuracy",
    ]
    assert "labels, shown only" in titles[-1]
    for i in range(4):
        assert charts.nth(i).locator(".scatterlayer .trace").count() == 2
    page.locator("#run-switches input").nth(1).uncheck()
    assert charts.first.locator(".scatterlayer .trace").count() == 1
    page.locator("#smoothing").fill("5")
    assert charts.first.locator(".scatterlayer .trace").count() == 2  # as logged, and averaged
    # Metrics nobody knows stand under their prefix.
    page.get_by_text("Votes (1)").click()
    assert page.locator("#charts details[open] figcaption").inner_text() == "vote/new"
    assert page.locator("#pass-curves .trace").count() == 2  # before and after of one run
    assert page.locator("#run-switches .supervised").count() == 1
    assert page.noise == []


def test_filters(open_report, report):
    page = open_report(report)
    assert completions(page) == 4
    page.select_option("#use", "trained")
    assert completions(page) == 2
    assert "2 of 4" in page.locator("#shown h3").last.inner_text()
    assert "(2 of 4)" in chosen(page, "group")
    page.select_option("#sign", "reward-")
    assert completions(page) == 1
    assert page.locator(".rollout .badge.bad").inner_text() == "truncated"
    page.get_by_role("button", name="Clear filters").click()
    assert completions(page) == 4
    page.select_option("#class", "none")
    assert page.locator(".rollout .completion").inner_text() == "no idea"
    page.select_option("#class", "")
    page.fill("#text", "BOXED{4")
    assert completions(page) == 1
    assert page.locator("mark math").text_content() == "4"
    assert page.locator(".written mark").text_content().lower() == "boxed{4"
    page.fill("#text", "")
    page.locator(".classes button").first.click()  # the class of 3
    assert completions(page) == 2
    assert page.locator(".rollout .badge", has_text="majority").count() == 2
    assert page.locator(".rollout .badge", has_text="taken for right").count() == 1
    assert page.locator(".facts", has_text="pseudo-label 3").count() == 1
    assert page.noise == []


def test_steps_prompts_and_links(open_report, report):
    page = open_report(report)
    assert (chosen(page, "run"), chosen(page, "step")) == ("ttrl", "1")
    assert page.locator("#previous-group").is_disabled()
    page.click("#next-group")
    page.wait_for_url("**prompt=p1**")
    assert page.locator(".prompt").inner_text() == "What is p1?"
    assert page.locator("#next-group").is_disabled()
    page.focus("#next-step")
    page.keyboard.press("Enter")
    page.wait_for_url("**step=5**")
    link = page.locator(".rollout h4 a").nth(2).get_attribute("href")
    assert link == "#run=ttrl&step=5&prompt=p1&visit=0-0&rollout=2"
    page.go_back()
    page.locator("#step option:checked", has_text="1").wait_for(state="attached")
    assert page.locator(".prompt").inner_text() == "What is p1?"

    direct = open_report(report, link.replace("ttrl", "control"))
    assert (chosen(direct, "run"), chosen(direct, "step")) == ("control (supervised)", "5")
    assert direct.locator(".prompt").inner_text() == "What is p1?"
    assert direct.locator(".rollout.linked h4 a").inner_text() == "#2"
    assert direct.evaluate("scrollY") > 0

    elsewhere = open_report(report, "#run=ttrl&step=99&prompt=none")
    assert "not among those in this report" in elsewhere.locator("#shown .notice").inner_text()
    assert page.noise == direct.noise == elsewhere.noise == []


def test_a_narrow_window_scrolls_inside_its_tables_only(open_report, report):
    for width in (375, 1440):
        page = open_report(report, width=width)
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.noise == []


def test_model_text_runs_nothing(open_report, tmp_path, write_run, make_line):
    lines = [
        make_line(
            i,
            HOSTILE,
            0.5,
            cluster=i,
            prompt=HOSTILE,
            prompt_id=HOSTILE,
            visit=HOSTILE,
            role=HOSTILE,
            completion=HOSTILE * 20,
            rewards={HOSTILE: 0.5, "__proto__": 1.0},
            **{"extra " + HOSTILE: HOSTILE},
        )
        for i in range(2)
    ]
    # A folder's name may hold anything but a slash and a NUL.
    name = HOSTILE.replace("/", "|").replace("\x00", "").replace("\ud800", "")[:200]
    folder = write_run(
        tmp_path / name,
        metrics=[{"step": i, "reward": 0.5, HOSTILE: 0.5, f"eval/{HOSTILE}": 1} for i in (1, 2, 3)],
        rollouts={1: lines, 2: [{**line, "answer": "other"} for line in lines[:1]]},
        settings={"model": HOSTILE, "rewards": {HOSTILE: {}}, HOSTILE: HOSTILE},
        summary={"after": {HOSTILE: {"pass@1": 0.5, "pass@4": 0.75, HOSTILE: 1.0}}},
    )
    page = open_report(write_page([folder], tmp_path / "report.html"))
    for summary in page.locator("summary").all():
        summary.click()
    page.fill("#search", "<script>")
    page.wait_for_selector("#hits li")
    assert page.locator("#hits li").count() == 5  # a prompt in each step, three completions
    assert page.locator(".grid tbody th").text_content().startswith("<script>")
    page.fill("#text", "<script>")
    assert completions(page) == 2
    page.locator("#charts figure .plot").first.hover()
    page.locator(".rollout button", has_text="Show all").first.click()
    page.locator(".classes button").first.click()
    assert completions(page) == 1
    assert page.locator(".completion").inner_text().startswith("<script>window.hacked=1</script>")
    page.locator(".rollout h4 a").first.click()
    page.wait_for_selector(".rollout.linked")
    again = open_report(tmp_path / "report.html", page.evaluate("location.hash"))
    assert again.locator(".rollout.linked").count() == 1
    for opened in (page, again):
        assert opened.evaluate("window.hacked") is None
        assert opened.evaluate("({}).polluted") is None
        assert (
            opened.locator("main img, main iframe, main script, a[href^=javascript]").count() == 0
        )
        assert opened.noise == []


def test_a_script_that_got_into_the_page_would_not_run(open_report, report):
    # The second line of defence: what the page's policy says of scripts and addresses not its own.
    page = open_report(report)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.hacked = 2'>");
        }"""
    )
    refused = page.evaluate("fetch('data:,x').then(() => false, () => true)")
    assert refused
    assert page.evaluate("window.hacked") is None
    assert len([text for text in page.noise if "Content Security Policy" in text]) >= 3


def test_roles_of_self_play_are_a_filter(open_report, tmp_path, write_run, make_line):
    lines = [
        make_line(i, "1", 1.0, role=role, prompt_id=role)
        for role in ("questioner", "verifier")
        for i in range(2)
    ]
    folder = write_run(tmp_path / "run", rollouts={1: lines})
    page = open_report(write_page([folder], tmp_path / "report.html"))
    assert page.locator("#group option").count() == 2
    page.select_option("#role", "verifier")
    assert page.locator("#group option").all_inner_texts() == ["2. [verifier] What is verifier?"]
    assert "role verifier" in page.locator("#shown .facts").first.inner_text()
    assert page.locator("#curves").count() == 0
    assert page.noise == []


def test_samples_of_an_evaluation(open_report, tmp_path):
    sample = {"problem_id": "7", "completion": "c", "num_tokens": 1, "label": "3"}
    samples = [
        {**sample, "sample": i, "answer": answer, "cluster": i, "correct": answer == "3"}
        for i, answer in enumerate("34")
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
    page = open_report(write_page([tmp_path], tmp_path / "report.html"))
    assert "label, shown only: 3" in page.locator("#shown .facts").first.inner_text()
    rows = [text.split() for text in page.locator(".classes tbody tr").all_inner_texts()]
    assert rows == [["3", "1", "1", "right"], ["4", "1", "1", "wrong"]]
    assert page.locator("#use-part, #step-part").locator("visible=true").count() == 0
    page.select_option("#sign", "wrong")
    assert completions(page) == 1
    assert "wrong by the label" in page.locator(".rollout h4").inner_text()
    assert page.noise == []


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """Two evaluations of three problems: two are learned, one is lost."""
    root = tmp_path_factory.mktemp("evaluations")
    votes = {"base": ["3334", "3334", "4443"], "trained": ["3444", "4444", "3333"]}
    for name, answers in votes.items():
        (root / name).mkdir()
        lines, asked = [], []
        for problem, letters in enumerate(answers):
            label = "4" if problem == 1 else "3"
            asked.append({"problem_id": f"id{problem}", "prompt": f"<b>Number</b> {problem}?"})
            for i, answer in enumerate(letters):
                lines.append(
                    {
                        "problem_id": f"id{problem}",
                        "sample": i,
                        "completion": f"It is {answer}, says {name}.",
                        "answer": answer,
                        "cluster": int(answer),
                        "correct": answer == label,
                        "label": label,
                    }
                )
        for file, rows in (("samples.jsonl", lines), ("problems.jsonl", asked)):
            (root / name / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [root / "base", root / "trained"]


def test_a_grid_of_problems_leads_to_the_samples(open_report, evaluations, tmp_path):
    page = open_report(write_page(evaluations, tmp_path / "report.html"))
    rows = page.locator(".grid tbody tr")

    def titles():
        return [text[-2:] for text in page.locator(".grid tbody th").all_inner_texts()]

    assert [row.split() for row in rows.all_inner_texts()] == [
        ["<b>Number</b>", "0?", "0.75", "0.25", "-0.50", "lost"],
        ["<b>Number</b>", "1?", "0.25", "1.00", "+0.75", "learned"],
        ["<b>Number</b>", "2?", "0.25", "1.00", "+0.75", "learned"],
    ]
    change = page.locator(".grid thead button", has_text="change")
    change.click()
    assert titles() == ["0?", "1?", "2?"]
    change.click()
    assert titles() == ["1?", "2?", "0?"]
    assert page.locator(".grid th[aria-sort=descending]").inner_text().startswith("change")
    page.locator("#problems select").select_option("lost")
    assert titles() == ["0?"]
    page.locator("#problems select").select_option("learned")
    page.fill("#text", "no such text")
    rows.last.locator("a").last.click()
    page.wait_for_url("**prompt=id2**")
    page.locator("#shown .prompt", has_text="2?").wait_for()
    assert chosen(page, "run") == "trained"
    assert page.noise == []


def test_samples_left_out_keep_their_votes(open_report, evaluations, tmp_path):
    page = open_report(write_page(evaluations, tmp_path / "report.html", max_bytes=1_000))
    shown = completions(page)
    assert shown < 4
    assert f"{shown} completions of 4 are in this page" in page.locator("#shown").inner_text()
    votes = [text.split()[:2] for text in page.locator(".classes tbody tr").all_inner_texts()]
    assert votes == [["3", "3"], ["4", "1"]]
    assert "with the votes of all its samples" in page.locator("#rollouts").inner_text()
    assert page.locator(".grid tbody tr").count() == 3


def test_a_search_over_runs_steps_and_prompts(open_report, report):
    page = open_report(report)

    def hits(text):
        page.fill("#search", text)
        page.wait_for_timeout(400)  # the search waits until nothing was typed for a moment
        page.locator("#hits", has_text="Searching").wait_for(state="detached")
        return page.locator("#hits li")

    # Two runs, two steps, two prompts, one completion each.
    assert hits("BOXED{4").count() == 8
    assert hits("boxed{4").locator("mark").first.inner_text() == "boxed{4"
    found = hits("what is p1").last  # a prompt in every step of every run
    assert page.locator("#hits li").count() == 4
    assert "control, step 5, prompt" in found.inner_text()
    page.fill("#text", "nothing holds this")
    hits("boxed{4").last.locator("a").click()
    page.wait_for_selector(".rollout.linked")
    assert (chosen(page, "run"), chosen(page, "step")) == ("control (supervised)", "5")
    assert page.input_value("#text") == ""  # it would have hidden what was sought
    assert hits("nowhere at all").count() == 0
    assert "0 hits" in page.locator("#hits").inner_text()
    assert hits("").count() == 0
    assert page.noise == []


def test_groups_that_show_something_are_listed(open_report, tmp_path, write_run, make_line):
    rollouts = {
        step: [make_line(i, answer, 1.0, step=step) for i in range(3)]
        for step, answer in ((1, "1"), (2, "1"), (3, "2"))
    }
    folder = write_run(tmp_path / "run", rollouts=rollouts)
    page = open_report(write_page([folder], tmp_path / "report.html"))
    page.select_option("#reason", "majority flips")
    page.wait_for_selector("#hits li")
    assert ["step 2" in text for text in page.locator("#hits li").all_inner_texts()] == [
        True,
        False,
    ]
    page.locator("#hits li a").last.click()
    page.wait_for_url("**step=3**")
    page.locator("#step option:checked", has_text="3").wait_for(state="attached")
    assert "shows majority flips" in page.locator("#shown .facts").first.inner_text()
    # The prompt's first and last visit.
    words = page.locator(".grid tbody tr").inner_text().split()
    assert words[-4:] == ["1.00", "1.00", "0.00", "flipped"]
    assert page.noise == []


def test_a_folder_with_next_to_nothing(open_report, tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    page = open_report(write_page([tmp_path], tmp_path / "report.html"))
    assert page.locator("#failure").is_hidden()
    assert page.noise == []
