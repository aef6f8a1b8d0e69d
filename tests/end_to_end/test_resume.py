"""A run that is killed and resumed takes the same steps on the same prompts as one that is not."""

import json
import os
import signal
import subprocess
import time

from launching import REWARD, ROOT, launch, one_process, read_metrics, read_rollouts

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
NOT_REPEATABLE = ("seconds", "time", "per_second", "train_loss")


def comparable(metrics):
    return [
        {k: v for k, v in line.items() if not any(word in k for word in NOT_REPEATABLE)}
        for line in metrics
    ]


def test_killed_run_resumes_where_it_stopped(recipe, tmp_path):
    whole = launch(one_process(), recipe, tmp_path / "whole", **SETTINGS)
    killed = tmp_path / "killed"
    arguments = [f"--{name}={json.dumps(value)}" for name, value in SETTINGS.items()]
    process = subprocess.Popen(
        [*one_process(), "scripts/train.py", str(recipe), f"--output_dir={killed}", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    # Checkpoint 9 is between the two updates of one batch: its rollouts must come back too.
    while not (killed / "checkpoint-9" / "trainer_state.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    launch(one_process(), recipe, killed, resume_from_checkpoint=True, **SETTINGS)

    assert comparable(read_metrics(killed)) == comparable(read_metrics(whole))
    assert read_rollouts(killed) == read_rollouts(whole)
    costs = [json.loads((run / "summary.json").read_text())["cost"] for run in (killed, whole)]
    assert costs[0]["num_sampled_tokens"] == costs[1]["num_sampled_tokens"]
    # The memory speaks: some groups weigh less than those of the plain vote.
    weights = [line.get("reward/guarded_vote/group_weight", 1.0) for line in read_metrics(whole)]
    assert min(weights) < 1.0
    state = json.loads((whole / "checkpoint-18" / "signal_state.json").read_text())
    assert len(state["guarded_vote"]["prompts"]) > 1
    assert len(state["token selector"]["anchor"]) == 2
    first_epoch = {line["visit"].split("-")[1] for line in read_rollouts(whole)[:168]}
    assert len(first_epoch) == 14  # seven batches of two prompts and twelve votes: every row once
