"""Two real ranks whose slow prompts are carried over to later batches, stopped and gone on with."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from launching import launch, one_process, ranks, read_metrics, read_rollouts

ENGINE = f"{Path(__file__).parent / 'copied_policy.py'}:CopiedPolicy"
SETTINGS = {
    "engine": ENGINE,
    "max_staleness": 2,
    "num_prompts": 4,
    "num_updates": 1,
    "max_steps": 6,
    "save_steps": 3,
}


@pytest.mark.slow
def test_every_prompt_is_trained_once_however_long_it_took(recipe, tmp_path):
    whole = launch(ranks(2), recipe, tmp_path / "whole", **SETTINGS)
    assert_visits(whole)
    stopped = shutil.copytree(whole, tmp_path / "stopped")
    shutil.rmtree(stopped / "checkpoint-6")
    assert sorted(path.name for path in (stopped / "checkpoint-3").glob("samples_ahead_*")) == [
        "samples_ahead_0.pt",
        "samples_ahead_1.pt",
    ]
    fewer = shutil.copytree(stopped, tmp_path / "fewer")
    launch(ranks(2), recipe, stopped, **SETTINGS, resume_from_checkpoint="auto")
    assert_visits(stopped)
    # What both ranks had asked for goes to one, which trains each prompt once, too.
    launch(one_process(), recipe, fewer, **SETTINGS, resume_from_checkpoint="auto")
    assert_visits(fewer)


def assert_visits(output_dir):
    """3 batches of 4 prompts are an epoch of 14 prompts; each visit is there once, and in time."""
    lines = read_rollouts(output_dir)
    visits = Counter((line["visit"], line["prompt_id"]) for line in lines)
    assert list(visits.values()) == [12] * 24
    assert {visit.split("-")[0] for visit, _ in visits} == set("012345")
    stale = [m["sampling/stale_steps"] for m in read_metrics(output_dir) if "reward" in m]
    assert stale == [0, 1, 2, 2, 2, 2]
