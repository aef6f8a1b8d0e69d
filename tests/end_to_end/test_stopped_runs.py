"""Ranks stop together; one run a folder; a full disk; settings that were changed in between."""

import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
import yaml
from killed_runs import RUN, comparable, difference, finish, run_whole, settings_of, start
from launching import ROOT, fsdp2, launch, ranks, read_metrics, read_rollouts, zero


@pytest.fixture
def settings(recipe):
    return lambda name: settings_of(yaml.safe_load(recipe.read_text()), name)


def wait_for(path, started):
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline
        assert all(process.is_alive() for process in started)
        time.sleep(0.01)


def errors(folder):
    return [line for line in (folder / "log.txt").read_text().splitlines() if "error: " in line]


def test_a_signal_to_one_rank_stops_all_at_one_step(settings, tmp_path):
    two_ranks, num_ranks = settings("two ranks")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_whole(two_ranks, num_ranks, whole)
    started = start(two_ranks, num_ranks, stopped)
    wait_for(stopped / RUN / "rollouts" / "step_000001.jsonl.gz", started)
    os.kill(started[1].pid, signal.SIGTERM)
    for process in started:
        process.join(300)
    assert [process.exitcode for process in started] == [75, 75]
    assert "which is saved. The same command" in (stopped / "log.txt").read_text()
    assert finish(start(two_ranks, num_ranks, stopped)) == [0, 0]
    assert difference(stopped, whole) is None


def test_a_folder_in_use_and_a_full_disk_are_one_line(settings, tmp_path):
    plain, _ = settings("plain")
    used = tmp_path / "used"
    first = start({**plain, "max_steps": 100_000}, 1, used)
    wait_for(used / RUN / "config.yaml", first)
    assert finish(start(plain, 1, used)) == [2]
    [line] = errors(used)
    assert "in which another run is at work" in line
    os.kill(first[0].pid, signal.SIGTERM)
    assert finish(first) == [75]

    full = tmp_path / "full"
    # The weights take 305 KB.
    assert finish(start(plain, 1, full, max_file_bytes=200_000)) == [2]
    [line] = errors(full)
    assert line.startswith("error: output_dir: got File too large in ")
    assert finish(start(plain, 1, full)) == [0]
    run_whole(plain, 1, tmp_path / "whole")
    assert difference(full, tmp_path / "whole") is None


def test_settings_that_were_changed(settings, tmp_path):
    plain, _ = settings("plain")
    plain |= {"lr_scheduler_type": "constant", "max_steps": 2}
    run_whole(plain, 1, tmp_path)
    # It is finished.
    run_whole(plain, 1, tmp_path)
    assert "the run is finished; nothing is done" in (tmp_path / "log.txt").read_text()
    longer = {**plain, "max_steps": 4, "learning_rate": 5e-4}
    assert finish(start(longer, 1, tmp_path)) == [2]
    [line] = errors(tmp_path)
    assert "learning_rate: got 0.0005, expected 0.001 as in" in line
    run_whole({**longer, "accept_changes": ["learning_rate"]}, 1, tmp_path)
    rates = [line["learning_rate"] for line in read_metrics(tmp_path / RUN) if "loss" in line]
    assert rates == [1e-3, 1e-3, 5e-4, 5e-4]


def test_samples_asked_ahead_are_in_the_checkpoint(settings, tmp_path):
    ahead, num_ranks = settings("samples ahead")
    run_whole(ahead, num_ranks, tmp_path / "whole")
    lines = [line for line in read_metrics(tmp_path / "whole" / RUN) if "loss" in line]
    assert [line["sampling/stale_steps"] for line in lines] == [0, 1, 1, 1, 1, 1]
    # Corrected for: the older policy gave its samples another probability.
    assert [line["sampling/importance_sampling_ratio/max"] != 1 for line in lines][1:] == [True] * 5
    stopped = shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    shutil.rmtree(stopped / RUN / "checkpoint-6")
    (stopped / RUN / "summary.json").unlink()
    run_whole(ahead, num_ranks, stopped)
    assert difference(stopped, tmp_path / "whole") is None


def test_a_rank_that_dies_takes_the_others_down(recipe, tmp_path):
    command = [*ranks(2), "scripts/train.py", str(recipe), "--allow_code"]
    command += [f"--output_dir={tmp_path / 'run'}"]
    launcher = subprocess.Popen(
        [*command, "--max_steps=1000", "--resume_from_checkpoint=auto"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert launcher.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    everyone = psutil.Process(launcher.pid).children(recursive=True)
    of_rank = next(p for p in everyone if p.environ().get("RANK") == "1")
    of_rank.kill()
    assert launcher.wait(timeout=300) != 0
    _, alive = psutil.wait_procs(everyone, timeout=120)
    assert alive == []


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [zero(2), zero(3), fsdp2()], ids=["zero2", "zero3", "fsdp2"])
def test_sharded_runs_go_on(recipe, tmp_path, launcher):
    settings = {"resume_from_checkpoint": "auto", "num_updates": 1, "use_vllm": launcher == fsdp2()}
    whole = launch(launcher, recipe, tmp_path / "whole", **settings)
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / "checkpoint-4")
    (stopped / "summary.json").unlink()
    launch(launcher, recipe, stopped, **settings)
    assert comparable(read_metrics(stopped)) == comparable(read_metrics(whole))
    assert read_rollouts(stopped) == read_rollouts(whole)
