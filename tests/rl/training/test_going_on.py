"""Whether a run starts or goes on: each state of its folder, each way to ask."""

import logging

import pytest
from accelerate import Accelerator

from rl.errors import InputError, RunFailed
from rl.training.checkpoints import Checkpoints
from rl.training.files import RunFiles
from rl.training.going_on import choose_checkpoint, finished_summary
from rl.training.recipe import make_config


@pytest.fixture
def run_files(tmp_path):
    return RunFiles(tmp_path / "run")


@pytest.fixture
def write(run_files):
    def write(step):
        checkpoints = Checkpoints(run_files.output_dir, Accelerator(cpu=True), None)
        with checkpoints.writing(step) as folder:
            (folder / "model.safetensors").write_text("weights")
        (run_files.output_dir / "config.yaml").touch()
        return run_files.output_dir / f"checkpoint-{step}"

    return write


@pytest.mark.parametrize("requested", [None, False, "auto"])
def test_a_new_folder_is_made(run_files, requested):
    assert choose_checkpoint(requested, run_files, dry_run=True) is None
    assert not run_files.output_dir.exists()
    assert choose_checkpoint(requested, run_files) is None
    assert run_files.output_dir.is_dir()


@pytest.mark.parametrize("requested", [True, "true", "True"])
def test_to_go_on_there_must_be_a_checkpoint(run_files, requested):
    with pytest.raises(InputError, match=r"got no checkpoint-N folder in .*run, .* Pass auto to"):
        choose_checkpoint(requested, run_files)


def test_a_run_killed_before_its_first_checkpoint_is_not_stuck(run_files, caplog):
    (run_files.output_dir / "unfinished" / "checkpoint-2").mkdir(parents=True)
    run_files.write_metrics(1, {"loss": 0.5})
    with pytest.raises(InputError, match=r"holds another run.*--resume_from_checkpoint auto"):
        choose_checkpoint(None, run_files)
    with caplog.at_level(logging.WARNING):
        assert choose_checkpoint("auto", run_files) is None
    assert "stopped before its first checkpoint; it starts anew" in caplog.text


@pytest.mark.parametrize("requested", [True, "auto"])
def test_the_newest_whole_one(run_files, write, caplog, requested):
    nine, ten = write(9), write(10)
    assert choose_checkpoint(requested, run_files) == ten
    assert caplog.text == ""
    (ten / "model.safetensors").write_text("we")
    with caplog.at_level(logging.WARNING):
        assert choose_checkpoint(requested, run_files) == nine
    assert "skipped: checkpoint-10, whose model.safetensors has 2 bytes instead of 7" in caplog.text
    (nine / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"checkpoint-10, whose .*; checkpoint-9, whose .*, expec"):
        choose_checkpoint(requested, run_files)


def test_a_named_one(run_files, write):
    folder = write(3)
    assert choose_checkpoint(str(folder), run_files) == folder
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"got .*checkpoint-3, whose model.safetensors is missing"):
        choose_checkpoint(str(folder), run_files)


def test_a_named_one_of_another_run_needs_a_new_folder(tmp_path, write):
    folder = write(3)
    other = RunFiles(tmp_path / "other")
    assert choose_checkpoint(str(folder), other) == folder
    other.write_metrics(1, {})
    with pytest.raises(InputError, match="holds another run"):
        choose_checkpoint(str(folder), other)


def test_a_finished_run_is_left_as_it_is(run_files, caplog):
    def config(**settings):
        return make_config({"output_dir": str(run_files.output_dir), **settings})

    assert finished_summary(config(resume_from_checkpoint="auto")) is None
    run_files.write_config(config(max_steps=5))
    run_files.write_summary({"cost": 1})
    same = {"max_steps": 5, "learning_rate": 1.0}
    assert finished_summary(config(**same, resume_from_checkpoint="auto")) == {"cost": 1}
    assert finished_summary(config(**same, resume_from_checkpoint=True)) is None
    # A job script that repeats a run which failed is told so again.
    failed = {"verdict": "failed at step 5: why.", "guards": [{"failed": True}]}
    run_files.write_summary(failed)
    with pytest.raises(RunFailed, match=r"nothing is done. It failed at step 5: why\."):
        finished_summary(config(**same, resume_from_checkpoint="auto"))
    stopped = {"verdict": "stopped at step 5: why.", "guards": [{"failed": False}]}
    run_files.write_summary(stopped)
    assert finished_summary(config(**same, resume_from_checkpoint="auto")) == stopped
    assert "nothing is done. Guards: stopped at step 5: why." in caplog.text
    # It was made longer.
    assert finished_summary(config(max_steps=6, resume_from_checkpoint="auto")) is None
    for damaged in ("", "{", "[1]"):
        (run_files.output_dir / "config.yaml").write_text(damaged)
        assert finished_summary(config(**same, resume_from_checkpoint="auto")) is None
