"""Launch real training runs as a user does: one process, several ranks, or under Accelerate."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rl.training.rollout_files import read_rollout_file

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
REWARD = f"{Path(__file__).parent / 'first_character_vote.py'}:first_character_vote"


def launch(launcher, recipe, output_dir, environment=None, **settings):
    """Run scripts/train.py to its end; fail with its output if it does not succeed."""
    settings |= {"output_dir": str(output_dir)}
    arguments = [f"--{name}={json.dumps(value)}" for name, value in settings.items()]
    command = [*launcher, "scripts/train.py", str(recipe), "--allow_code", *arguments]
    known = {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", **(environment or {})}
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert_launched(launcher, output_dir)
    return output_dir


def assert_launched(launcher, output_dir):
    """A launch under DeepSpeed that saved a checkpoint left each rank's shard in it."""
    if any(Path(word).name.startswith("zero") for word in launcher):
        num_ranks = int(launcher[launcher.index("--num_processes") + 1])
        for checkpoint in Path(output_dir).glob("checkpoint-*"):
            shards = sorted(path.name for path in checkpoint.glob("global_step*/*_optim_states.pt"))
            assert len(shards) == num_ranks, f"{checkpoint} has {shards}: DeepSpeed did not run"


def one_process():
    return [sys.executable]


def ranks(number):
    return [str(BIN / "torchrun"), "--standalone", f"--nproc_per_node={number}"]


def zero(stage, num_ranks=2):
    """CPU ranks under DeepSpeed, with the launch config users get."""
    # With --cpu Accelerate leaves DeepSpeed out, and starts one process.
    return [
        *(str(BIN / "accelerate"), "launch"),
        *("--config_file", f"recipes/accelerate/zero{stage}.yaml"),
        *("--num_processes", str(num_ranks), "--mixed_precision", "no"),
        *([str(Path(__file__).parent / "zero3_of_all_weights.py")] if stage == 3 else []),
    ]


def fsdp2():
    """Two CPU ranks under FSDP2, with the launch config users get."""
    return [
        *(str(BIN / "accelerate"), "launch", "--config_file", "recipes/accelerate/fsdp2.yaml"),
        *("--num_processes", "2", str(Path(__file__).parent / "fsdp_on_cpu.py")),
    ]


LAUNCHERS = {
    "one": one_process(),
    "two": ranks(2),
    "zero2": zero(2),
    "zero3": zero(3),
    "fsdp2": fsdp2(),
}
# Samples of the policy at the start in every step: FSDP can take them too, and no launch that
# rounds otherwise changes them.
STORED_SAMPLES = {
    "engine": f"{Path(__file__).parent / 'stored_policy.py'}:StoredPolicy",
    "num_prompts": 3,
    "num_generations": 16,
    "num_votes": 16,
    "num_updates": 1,
    "per_device_train_batch_size": 4,
    "max_steps": 3,
    "save_steps": 2,
    "learning_rate": 1e-2,
}


def read_metrics(output_dir):
    return [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text().splitlines()]


def read_rollouts(output_dir):
    """All rollout lines of a run, in an order that does not depend on the ranks."""
    lines = []
    for path in sorted((output_dir / "rollouts").glob("step_*.jsonl.gz")):
        lines += [line.value for line in read_rollout_file(path)]
    return sorted(lines, key=lambda line: (line["step"], line["visit"], line["rollout"]))


def load_policy(output_dir):
    """The trained model, from the folder the run saved it to."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(output_dir)
