"""The one rule on settings that differ from those of the checkpoint a run goes on from."""

import logging

import pytest
from accelerate.utils import DistributedType

from rl.errors import InputError
from rl.training import changed_settings
from rl.training.changed_settings import (
    check_changed_settings,
    check_finished_run,
    check_sharding,
)
from rl.training.files import RunFiles
from rl.training.recipe import make_config

SETTINGS = {
    "model": "model",
    "dataset": "questions.jsonl",
    "output_dir": "runs/unused",
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "rewards": {"majority_vote": {"weight": 0.5}},
}


def write_checkpoint(run_folder, settings):
    run_files = RunFiles(run_folder)
    run_files.write_config(make_config(settings))
    folder = run_folder / "checkpoint-6"
    folder.mkdir()
    run_files.copy_config(folder)
    return folder


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path, SETTINGS)


def test_a_file_that_changed_under_its_name(tmp_path, caplog):
    reward = tmp_path / "mine.py"
    reward.write_text("def mine(group):\n    return [1.0] * len(group.rollouts)\n")
    settings = {**SETTINGS, "rewards": {f"{reward}:mine": {}}}
    folder = write_checkpoint(tmp_path, settings)
    assert check_changed_settings(folder, make_config(settings)) == []
    reward.write_text("def mine(group):\n    return [0.0] * len(group.rollouts)\n")
    with pytest.raises(InputError, match=r"rewards: got another content of .*mine.py:mine, expect"):
        check_changed_settings(folder, make_config(settings))
    accepted = make_config({**settings, "accept_changes": ["rewards"]})
    [line] = check_changed_settings(folder, accepted)
    assert line == f"rewards: {reward}:mine holds something else"
    assert line in caplog.text


def check(checkpoint, **changes):
    return check_changed_settings(checkpoint, make_config({**SETTINGS, **changes}))


def test_the_same_settings_need_no_word(checkpoint, caplog):
    assert check(checkpoint) == []
    assert check(checkpoint, resume_from_checkpoint="auto") == []
    assert caplog.text == ""
    # A library's user may have trained without files of a run.
    (checkpoint / "config.yaml").unlink()
    assert check(checkpoint, seed=1) == []


@pytest.mark.parametrize(
    ("name", "value", "old"),
    [
        ("learning_rate", 2e-3, "0.001"),
        ("rewards", {"random": {}}, r"\{'majority_vote': \{'weight': 0.5\}\}"),
        ("rewards", {"majority_vote": {"weight": 1.0}}, r"\{'majority_vote': \{'weight': 0.5\}\}"),
        ("seed", 1, "42"),
        ("num_prompts", 2, "1"),
        ("max_completion_length", 8, "256"),
        ("temperature", 0.5, "1.0"),
        ("beta", 0.1, "0.0"),
        ("model", "other", "'model'"),
        ("max_steps", 9, "-1"),  # the rate's linear way down to zero gets another length
    ],
)
def test_what_changes_the_computation_is_refused_unless_it_is_meant(checkpoint, name, value, old):
    with pytest.raises(InputError, match=rf"^{name}: got .*, expected {old} as in .*checkpoint-6"):
        check(checkpoint, **{name: value})
    [line] = check(checkpoint, **{name: value}, accept_changes=[name])
    assert line.startswith(f"{name} ")


def test_a_finished_run_is_of_the_same_settings(checkpoint):
    def check(folder=checkpoint.parent, **changes):
        check_finished_run(folder, make_config({**SETTINGS, **changes}))

    check()
    check(logging_steps=3, eval_base=False, resume_from_checkpoint="auto")
    # What a run may go on with is another run nevertheless.
    for name, value in (("dataset", "others.jsonl"), ("lora", {"r": 4}), ("eval_num_samples", 2)):
        with pytest.raises(InputError, match=rf"^{name}: got .*, expected .* as in the finished "):
            check(**{name: value})
        check(**{name: value}, accept_changes=[name])
    (checkpoint.parent / "config.yaml").unlink()
    check(seed=1)


@pytest.mark.parametrize("name", ["weight_decay", "adam_beta1", "lora"])
def test_what_the_checkpoint_itself_holds_cannot_be_meant(checkpoint, name):
    change = {name: {"r": 8} if name == "lora" else 0.5}
    with pytest.raises(InputError, match=rf"^{name}: got .* Set it back, or start anew in another"):
        check(checkpoint, **change, accept_changes=[name])


def test_harmless_changes_are_listed(checkpoint, caplog):
    with caplog.at_level(logging.WARNING):
        lines = check(checkpoint, save_steps=7, output_dir="moved", dataset="moved.jsonl")
    assert sorted(lines) == [
        "dataset 'questions.jsonl' -> 'moved.jsonl'",
        "output_dir 'runs/unused' -> 'moved'",
        "save_steps 500 -> 7",
    ]
    assert "goes on from" in caplog.text
    assert all(line in caplog.text for line in lines)


def test_a_run_of_a_constant_rate_can_be_made_longer(tmp_path):
    constant = {**SETTINGS, "lr_scheduler_type": "constant", "max_steps": 5}
    run_files = RunFiles(tmp_path)
    run_files.write_config(make_config(constant))
    run_files.copy_config(tmp_path)
    longer = make_config({**constant, "max_steps": 9})
    assert check_changed_settings(tmp_path, longer) == ["max_steps 5 -> 9"]


def test_the_layout_may_change_where_no_rows_are_left_over(checkpoint):
    assert check(checkpoint, per_device_train_batch_size=2, num_prompts=1) == [
        "per_device_train_batch_size 4 -> 2"
    ]
    (checkpoint / "rollout_buffer_0.pt").touch()
    with pytest.raises(InputError, match=r"^per_device_train_batch_size: got 2, expected 4"):
        check(checkpoint, per_device_train_batch_size=2, num_prompts=1)


def test_rows_without_an_advantage_count_where_gradients_are_masked(tmp_path):
    """MIGU's sums are over the rows that are run, so leaving some out is more than saving time."""
    settings = {**SETTINGS, "gradient_mask": {"migu": {}}}
    folder = write_checkpoint(tmp_path, settings)
    changed = {**settings, "skip_silent_rows": False}
    with pytest.raises(InputError, match=r"skip_silent_rows: got False, expected True as in"):
        check_changed_settings(folder, make_config(changed))
    meant = make_config({**changed, "accept_changes": ["skip_silent_rows"]})
    assert check_changed_settings(folder, meant) == ["skip_silent_rows True -> False"]


def test_other_software_is_listed(checkpoint, monkeypatch):
    monkeypatch.setattr(changed_settings, "git_commit", lambda: "f" * 40)
    [line] = check(checkpoint)
    assert line.startswith("git_commit ")
    assert line.endswith("f" * 40)


def test_every_listed_name_is_a_setting():
    config = make_config(SETTINGS)
    names = {
        *(*changed_settings.LENGTHS, *changed_settings.LAYOUT, *changed_settings.HARMLESS),
        *(*changed_settings.KEPT_BY_THE_CHECKPOINT, *changed_settings.TOLD_BY_THE_PROMPTS),
        *changed_settings.NOT_COMPARED,
    } - {"processes"}
    assert [name for name in sorted(names) if not hasattr(config, name)] == []


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("global_step6", DistributedType.DEEPSPEED, DistributedType.NO),
        ("pytorch_model_fsdp.bin", DistributedType.FSDP, DistributedType.MULTI_CPU),
        ("optimizer.pt", DistributedType.MULTI_GPU, DistributedType.DEEPSPEED),
    ],
)
def test_an_optimizer_is_read_by_what_wrote_it(tmp_path, file, right, wrong):
    (tmp_path / file).touch()
    check_sharding(tmp_path, right)
    with pytest.raises(InputError, match=r"^launch: got .*, expected .* was written under"):
        check_sharding(tmp_path, wrong)
