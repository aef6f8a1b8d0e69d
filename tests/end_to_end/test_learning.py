"""Training without labels makes the demo's model better on problems it was not trained on."""

import json

from launching import launch, one_process

from rl.testbed.build import build_testbed


def test_votes_raise_held_out_pass_at_1(tmp_path):
    # The demo's own recipe and parts, shorter: half of its pretraining, a fifth of its steps.
    testbed = build_testbed(tmp_path / "testbed", num_pretraining_steps=800, show_progress=False)
    run = launch(
        one_process(),
        "recipes/demo.yaml",
        tmp_path / "run",
        model=str(testbed.model_dir),
        dataset=str(testbed.train_file("easy")),
        eval_benchmarks=[str(testbed.heldout_file("easy"))],
        eval_num_samples=4,
        max_steps=60,
        save_strategy="no",
    )
    summary = json.loads((run / "summary.json").read_text())
    before, after = (summary[when]["pass@1"] for when in ("before", "after"))
    # Three seeds went from 0.58..0.60 to 0.82..0.86; 512 samples have a standard error of 0.02.
    assert after > before + 0.12
