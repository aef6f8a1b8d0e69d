"""The page as a file: complete, escaped, and allowed to run nothing but its own scripts."""

import base64
import gzip
import hashlib
import re

import pytest

from rl.report.folders import read_folders
from rl.report.page import render_page
from rl.report.rendered_maths import RenderedMaths
from rl.report.shown_rollouts import choose_all_rollouts

HOSTILE = "</script><script>alert(1)</script><!--\u2028\u2029&amp;"


def render(*folders, **limits):
    runs = read_folders(folders)
    shown = choose_all_rollouts(runs, **limits)
    return render_page(runs, shown, RenderedMaths(), smoothing=1, date="2026-01-01")


def found(pattern, text):
    match = re.search(pattern, text)
    assert match, pattern
    return match[1]


def test_the_policy_names_the_page_s_own_scripts_and_nothing_else(tmp_path, write_run, make_line):
    lines = [make_line(0, "1", 1.0)]
    metrics = [{"step": 1, "reward": 0.5}]
    page = render(write_run(tmp_path / "run", metrics=metrics, rollouts={1: lines}))
    policy = found(r'Content-Security-Policy" content="([^"]*)"', page)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "script-src 'unsafe" not in policy
    assert "http" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    library = gzip.decompress(base64.b64decode(found(r'id="library">([^<]*)<', page)))
    for source in (script.encode(), library):
        digest = base64.b64encode(hashlib.sha256(source).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    # The page names no other file.
    rest = page.replace(script, "")
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', rest) == ["data:,"]


def test_hostile_names_are_escaped(tmp_path, write_run, make_line):
    lines = [make_line(0, HOSTILE, 1.0, cluster=0, completion=HOSTILE, prompt=HOSTILE)]
    page = render(
        write_run(
            tmp_path / "run",
            metrics=[{"step": 1, HOSTILE: 0.5, f"cost/{HOSTILE}": 1.0}],
            rollouts={1: lines},
            settings={HOSTILE: HOSTILE, "rewards": {HOSTILE: {}}, "model": HOSTILE},
            summary={"after": {HOSTILE: 0.5}},
        )
    )
    assert "alert(1)</script>" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page  # the settings' table shows it as text


def test_supervised_runs_are_marked(tmp_path, write_run):
    folder = write_run(
        tmp_path / "run", settings={"supervised": True}, summary={"after": {"pass@1": 0.5}}
    )
    assert 'class="supervised">supervised: its reward saw labels' in render(folder)
    plain = write_run(tmp_path / "plain", summary={"after": {"pass@1": 0.5}})
    assert 'class="supervised"' not in re.sub(r"<script.*", "", render(plain), flags=re.DOTALL)


def test_intervals_and_the_base_vote_stand_in_the_table(tmp_path, write_run):
    estimate = {"value": 0.625, "ci_low": 0.5, "ci_high": 0.75, "n": 8}
    summary = {"before": {"pass@1": 0.5, "maj@16": 0.875}, "after": {"pass@1": estimate}}
    page = render(write_run(tmp_path / "run", summary=summary))
    assert re.search(r'0\.625<span class="interval plain">0\.500 to 0\.750</span>', page)
    assert re.search(r"0\.875 maj@16</td>", page)


def test_the_rule_that_chose_a_checkpoint_is_named(tmp_path, write_run):
    best = {"step": 20, "criterion": "eval/pass@1"}
    page = render(write_run(tmp_path / "run", summary={"best_checkpoint": best}))
    assert "best_checkpoint: {criterion: eval/pass@1, step: 20}" in page


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "config.yaml"])
def test_a_folder_with_next_to_nothing_is_a_page(tmp_path, name):
    (tmp_path / name).write_text("" if name != "summary.json" else "{}")
    page = render(tmp_path)
    assert "Nothing was evaluated" in page
    assert "There are no rollouts to show" in page
    assert "no summary yet: running or stopped at step 0" in page
    assert 'id="library"' not in page  # nothing to draw
    assert len(page) < 100_000
