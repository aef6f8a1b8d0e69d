"""Training on questions about pictures: the command, and that it teaches to look."""

import json

import pytest
from launching import launch, one_process, read_metrics

from rl.testbed.pictures_build import build_pictures


def run_on(testbed, output_dir, heldout, **settings):
    return launch(
        one_process(),
        "recipes/ttrl/ttrl_pictures.yaml",
        output_dir,
        model=str(testbed / "model"),
        dataset=str(testbed / "labelled.jsonl"),
        label_column="label",
        eval_benchmarks=[str(testbed / heldout)],
        save_strategy="no",
        **settings,
    )


def test_the_picture_testbed_is_trained_and_compared(tmp_path):
    testbed = tmp_path / "pictures"
    build_pictures(testbed, num_pretraining_steps=20, show_progress=False)
    run = run_on(
        testbed,
        tmp_path / "run",
        "heldout/comparing.jsonl",
        num_prompts=4,
        num_generations=4,
        per_device_train_batch_size=16,
        max_steps=2,
        eval_num_samples=2,
    )
    summary = json.loads((run / "summary.json").read_text())
    assert {"before", "after", "controls"} <= summary.keys()
    assert len(summary["controls"]["differences"]) == 3  # greedy, temperature, majority
    steps = [line for line in read_metrics(run) if "vote/majority_ratio" in line]
    assert len(steps) == 2
    assert all(line["cost/sampled_tokens"] > 0 for line in steps)


@pytest.mark.slow
def test_the_demo_of_pictures_passes_its_controls(tmp_path):
    testbed = tmp_path / "pictures"
    build_pictures(testbed, show_progress=False)
    run = run_on(testbed, tmp_path / "run", "heldout.jsonl", max_steps=120)
    controls = json.loads((run / "summary.json").read_text())["controls"]
    assert all(found["ci_low"] > 0 for found in controls["differences"].values())
