"""Runs that are killed: started by a fork of a process that has imported the libraries already."""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import torch
from launching import REWARD, read_metrics, read_rollouts
from safetensors.torch import load_file

GAME = f"{Path(__file__).parent / 'first_character_game.py'}:build"
AHEAD = f"{Path(__file__).parent / 'copied_policy.py'}:CopiedPolicy"
# The last is checked at every start.
NOT_REPEATABLE = ("seconds", "time", "per_second", "train_loss", "start_sampling_logp_gap")
# A name that is not ASCII: torch.save then opens its files through Python, where they are seen.
RUN = "läuft"

SHARED = {
    "num_updates": 1,
    "max_steps": 6,
    "save_steps": 2,
    "max_completion_length": 8,
    "disable_tqdm": True,
}
# What a checkpoint has to hold, one run each; LoRA has weights of its own, two ranks two buffers.
RUNS = {
    "plain": {"save_total_limit": 1},
    "adaptive votes": {
        "num_votes": {"min": 8, "max": 24, "confidence": 0.6, "chunk": 4},
        "answer_methods": ["last_number"],
    },
    "guarded vote": {
        "rewards": {REWARD: {}, "guarded_vote": {"window": 1, "theta_mr": 0.0}},
        "token_selector": {"entropy_band": {"preset": "anchored"}},
        "answer_methods": ["last_number"],
    },
    "two updates a batch": {"num_updates": 2, "save_steps": 3},
    "LoRA": {"lora": {"r": 4, "target_modules": "all-linear"}},
    "self-play": {
        "selfplay": {"game": GAME},
        "dataset": "",
        "num_prompts": 4,
        "num_votes": 8,
    },
    "samples ahead": {"engine": AHEAD, "max_staleness": 1},
    "two ranks": {"num_updates": 2, "save_steps": 3, "num_ranks": 2},
}

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["rl.training.start", "rl.training.run", "rewards"])


# Inside a run's process.


def train(settings, log, environment, kill_at, max_file_bytes):
    """Run scripts/train.py's work in this process.

    Args:
        settings: Of the run.
        log: File that takes what it says.
        environment: Its place among the ranks.
        kill_at: Kills it before its n-th file; None does not.
        max_file_bytes: What stands for a full disk; None for none.
    """
    os.environ.update(environment)
    torch.set_num_threads(1)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)

    import rewards
    from rl.answers import close_verifier
    from rl.errors import exit_on_bad_input
    from rl.plugins import allow_code
    from rl.processes import end_with_parent
    from rl.training.start import start_run

    end_with_parent()
    allow_code()
    if max_file_bytes is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, hard))
    if kill_at is not None:
        kill_before_file(settings, kill_at)
    try:
        with exit_on_bad_input():
            start_run(settings, rewards)
    finally:
        close_verifier()


def kill_before_file(settings, number):
    """Kill this process before it writes, renames or removes a file of its second checkpoint.

    Args:
        settings: Of the run.
        number: Of the file, from 0; beside the run's folder `files.txt` tells which there are.
    """
    output_dir, seen = Path(settings["output_dir"]), set()
    second = f"/checkpoint-{2 * settings['save_steps']}".encode()
    files = output_dir.with_name("files.txt").open("w", buffering=1)

    def hook(event, arguments):
        if event not in ("open", "os.mkdir", "os.rename", "os.remove"):
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike) or second not in os.fsencode(path):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if (event, path) in seen:
            return
        seen.add((event, path))
        files.write(f"{event} {os.fsdecode(path)}\n")
        if len(seen) > number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


# Around a run.


def settings_of(recipe, name):
    """All settings of one of `RUNS`, and its number of ranks."""
    settings = {**recipe, **SHARED, **RUNS[name], "resume_from_checkpoint": "auto"}
    return settings, settings.pop("num_ranks", 1)


def start(settings, num_ranks, folder, kill_at=None, max_file_bytes=None):
    """Start every rank of a run; the last one is killed at the file, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**settings, "output_dir": str(folder / RUN)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(num_ranks):
        environment = {"OMP_NUM_THREADS": "1"}
        if num_ranks > 1:
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
            environment |= {"WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1"}
            environment |= {"LOCAL_WORLD_SIZE": str(num_ranks)}
        here = kill_at if rank == 0 else None
        arguments = (settings, str(folder / "log.txt"), environment, here, max_file_bytes)
        process = _processes.Process(target=train, args=arguments)
        process.start()
        started.append(process)
    return started


def finish(started, timeout=500):
    """Wait for every rank; where one has died the others are ended, as a launcher does."""
    deadline = time.monotonic() + timeout
    while any(process.is_alive() for process in started) and time.monotonic() < deadline:
        if any(process.exitcode not in (None, 0) for process in started):
            for process in started:
                process.join(5)
                process.kill()
        time.sleep(0.02)
    for process in started:
        process.kill()
        process.join()
    return [process.exitcode for process in started]


def run_whole(settings, num_ranks, folder):
    """Run without a kill; return how long it took, the libraries being imported already."""
    first = _processes.Process(target=os.getpid)
    first.start()
    first.join()
    begin = time.monotonic()
    codes = finish(start(settings, num_ranks, folder))
    assert codes == [0] * num_ranks, (folder / "log.txt").read_text()[-3000:]
    return time.monotonic() - begin


def run_killed(settings, num_ranks, folder, seed, seconds):
    """Kill a run at a random moment, in half of the cases its continuation too; then let it end.

    Args:
        settings: Of the run.
        num_ranks: Of which a random one is killed.
        folder: New.
        seed: Of the moments.
        seconds: What the whole run takes.

    Returns:
        How often it was killed, and the statuses of the last attempt.
    """
    choose = random.Random(seed)
    num_kills, moment = 0, choose.uniform(0, seconds)
    wanted = choose.choice([1, 2])
    while num_kills < wanted:
        started = start(settings, num_ranks, folder)
        time.sleep(moment)
        victim = choose.choice(started)
        if all(process.is_alive() for process in started):
            victim.kill()
            num_kills += 1
        finish(started)
        if (folder / RUN / "summary.json").exists():  # it was faster than the one measured
            if num_kills:
                break
            shutil.rmtree(folder)
            seconds /= 2
        moment = choose.uniform(0, seconds)
    return num_kills, finish(start(settings, num_ranks, folder))


def difference(run, whole):
    """Say in what a run differs from an undisturbed one; None if it does not."""
    run, whole = run / RUN, whole / RUN
    for path in whole.glob("*.safetensors"):
        found, expected = load_file(run / path.name), load_file(path)
        for name, tensor in expected.items():
            if not torch.equal(found[name], tensor):
                return f"weights {name}"
    if comparable(read_metrics(run)) != comparable(read_metrics(whole)):
        return "metrics"
    if read_rollouts(run) != read_rollouts(whole):
        return "rollouts"
    return None


def comparable(metrics):
    """Lines of metrics without what a clock says."""
    return [
        {k: v for k, v in line.items() if not any(word in k for word in NOT_REPEATABLE)}
        for line in metrics
    ]


def run_killed_before_file(settings, num_ranks, folder, number):
    """Kill a run before its n-th file; then let it end.

    Returns:
        Whether there was such a file, and the statuses of the last attempt.
    """
    codes = finish(start(settings, num_ranks, folder, kill_at=number))
    if codes == [0] * num_ranks:
        return False, codes
    return True, finish(start(settings, num_ranks, folder))
