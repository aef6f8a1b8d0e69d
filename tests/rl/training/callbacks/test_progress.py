"""The training bar: what it shows, and that only one process shows it."""

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rl.training.callbacks.progress import TrainingProgress


@pytest.fixture
def call(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)

    def call(progress, event, state, **more):
        getattr(progress, event)(arguments, state, TrainerControl(), **more)

    return call


def test_nothing_before_the_first_step(call, capsys):
    progress = TrainingProgress()
    state = TrainerState(max_steps=4)
    call(progress, "on_log", state, logs={"reward": 1.0})
    call(progress, "on_step_end", state)
    call(progress, "on_train_end", state)
    assert capsys.readouterr() == ("", "")


def test_other_processes_show_nothing(call, capsys):
    progress = TrainingProgress()
    call(progress, "on_step_begin", TrainerState(max_steps=4, is_world_process_zero=False))
    call(progress, "on_train_end", TrainerState(max_steps=4, is_world_process_zero=False))
    assert capsys.readouterr() == ("", "")


def test_a_resumed_run_counts_from_its_checkpoint_and_keeps_the_last_numbers(call, capsys):
    progress = TrainingProgress()
    state = TrainerState(max_steps=4, global_step=2, is_world_process_zero=True)
    call(progress, "on_step_begin", state)
    state.global_step = 3
    call(progress, "on_step_end", state)
    call(progress, "on_log", state, logs={"reward": 0.51234, "entropy": None, "loss": 3.0})
    call(progress, "on_log", state, logs={"vote/majority_ratio": 0.75})
    state.global_step = 4
    call(progress, "on_step_end", state)
    call(progress, "on_train_end", state)
    last = capsys.readouterr().err.rpartition("\r")[2]
    progress.close()  # again, where a run ends
    assert capsys.readouterr().err == ""
    assert "4/4" in last
    assert "reward=0.512" in last
    assert "majority=0.75" in last
    assert "loss" not in last
    assert "entropy" not in last
