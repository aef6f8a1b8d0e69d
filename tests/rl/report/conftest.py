"""Folders as runs leave them, and a real browser to look at reports."""

import gzip
import json
import shutil

import pytest
import yaml

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def rollout_line(i, answer, reward, *, step=1, prompt_id="p0", trained=True, **more):
    """One line of a rollout file; a number is its own answer class, any other text is class 0."""
    cluster = int(answer) if answer and answer.isdecimal() else 0
    return {
        "step": step,
        "prompt_id": prompt_id,
        "visit": "0-0",
        "prompt": f"What is {prompt_id}?",
        "rollout": i,
        "completion": "no idea" if answer is None else rf"It is \boxed{{{answer}}}",
        "answer": answer,
        "cluster": None if answer is None else cluster,
        "num_tokens": 7,
        "truncated": False,
        "trained": trained,
        "rewards": {"majority_vote": reward},
        "reward": reward,
        "advantage": None if not trained else reward,
        **more,
    }


@pytest.fixture(scope="session")
def make_line():
    """Build one line of a rollout file."""
    return rollout_line


@pytest.fixture(scope="session")
def write_run():
    """Write the folder of a run: settings, metrics, rollouts per step, summary where given."""

    def write(folder, *, metrics=(), rollouts=None, summary=None, settings=None):
        (folder / "rollouts").mkdir(parents=True)
        document = {"settings": settings or {"model": "m"}, "git_commit": "0123456789abcdef"}
        (folder / "config.yaml").write_text(yaml.safe_dump(document))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in metrics))
        for step, lines in (rollouts or {}).items():
            with gzip.open(folder / "rollouts" / f"step_{step:06d}.jsonl.gz", "wt") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        if summary is not None:
            (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    return write


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright`")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield instance
        instance.close()


@pytest.fixture
def open_report(browser):
    """Open a page file and wait until its script is done; what went wrong is on the page object.

    `page.noise` holds console errors, exceptions, dialogs and every request but the page's own.
    """
    contexts = []

    def open_page(path, fragment="", width=1200):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.noise = []
        address = path.as_uri() + fragment

        def on_dialog(dialog):
            page.noise.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def on_request(request):
            if request.url.split("#")[0] != path.as_uri():
                page.noise.append(f"request: {request.url[:80]}")

        page.on("dialog", on_dialog)
        page.on("request", on_request)
        page.on("pageerror", lambda error: page.noise.append(f"exception: {error}"))
        page.on("console", lambda m: page.noise.append(f"console: {m.text}"))
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
