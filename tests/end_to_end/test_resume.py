"""A run that is stopped by a signal takes the same steps on the same prompts as one that is not."""

import json
import os
import re
import signal
import subprocess
import time

from killed_runs import comparable
from launching import REWARD, ROOT, launch, one_process, read_metrics, read_rollouts

from rl.training.checkpoints import list_checkpoints

# 14 prompts, 2 a batch, 2 updates a batch: an epoch is 14 steps, so 20 steps cross into the second.
# A reward, a token selector and a token budget that remember what was before.
SETTINGS = {
    "max_steps": 20,
    "save_steps": 3,
    "max_sampled_tokens": 100_000,
    "rewards": {REWARD: {}, "guarded_vote": {"window": 1, "theta_mr": 0.0}},
    "token_selector": {"entropy_band": {"preset": "anchored"}},
    "answer_methods": ["last_number"],
}


def test_a_stopped_run_goes_on_where_it_was(recipe, tmp_path):
    whole = launch(one_process(), recipe, tmp_path / "whole", **SETTINGS)
    stopped = tmp_path / "stopped"
    settings = {**SETTINGS, "resume_from_checkpoint": "auto"}
    arguments = [f"--{name}={json.dumps(value)}" for name, value in settings.items()]
    process = subprocess.Popen(
        [*one_process(), "scripts/train.py", str(recipe), f"--output_dir={stopped}", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (stopped / "checkpoint-6").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    printed = process.communicate(timeout=200)[1]  # beside a progress bar
    assert process.returncode == 75, printed
    assert "SIGUSR1: saving after this step" in printed
    [step] = re.findall(r"stopped by SIGUSR1 after step (\d+), which is saved", printed)
    # The bar is not drawn again below it.
    assert (
        printed.rstrip("\n").rpartition("\n")[2].startswith(f"stopped by SIGUSR1 after step {step}")
    )
    assert [path.name for path in list_checkpoints(stopped)][-1] == f"checkpoint-{step}"

    launch(one_process(), recipe, stopped, **settings)

    assert comparable(read_metrics(stopped)) == comparable(read_metrics(whole))
    assert read_rollouts(stopped) == read_rollouts(whole)
    costs = [json.loads((run / "summary.json").read_text())["cost"] for run in (stopped, whole)]
    assert costs[0]["num_sampled_tokens"] == costs[1]["num_sampled_tokens"]
    # The memory speaks: some groups weigh less than those of the plain vote.
    weights = [line.get("reward/guarded_vote/group_weight", 1.0) for line in read_metrics(whole)]
    assert min(weights) < 1.0
    state = json.loads((whole / "checkpoint-18" / "signal_state.json").read_text())
    assert len(state["guarded_vote"]["prompts"]) > 1
    assert len(state["token selector"]["anchor"]) == 2
    first_epoch = {line["visit"].split("-")[1] for line in read_rollouts(whole)[:168]}
    assert len(first_epoch) == 14  # seven batches of two prompts and twelve votes: every row once
