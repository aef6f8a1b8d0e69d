"""The files a run leaves, read back; damaged checkpoints and other people's folders."""

import gzip
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from transformers import TrainerControl, TrainerState, TrainingArguments

from rl.answers.votes import vote_over_classes
from rl.data.prompt_lengths import PromptFacts
from rl.errors import InputError
from rl.groups.scoring import ScoredGroup, score_group
from rl.groups.visits import VisitKey
from rl.training.files import MetricsFile, RunFiles, checkpoint_problem, rollout_lines
from rl.training.recipe import make_config

ROOT = Path(__file__).parents[3]
# The line of rollouts/step_*.jsonl.gz, a public contract.
ROLLOUT_FIELDS = {
    "step": int,
    "prompt_id": str,
    "visit": str,
    "prompt": str,
    "rollout": int,
    "completion": str,
    "num_tokens": int,
    "truncated": bool,
    "answer": str | None,
    "cluster": int | None,
    "trained": bool,
    "rewards": dict,
    "reward": float | None,
    "advantage": float | None,
    "selected": bool | None,
    "pseudo_label": str | None,
}


@pytest.fixture
def run_files(tmp_path):
    return RunFiles(tmp_path / "run")


def write_checkpoint(folder):
    folder.mkdir(parents=True)
    save_file({"weight": torch.ones(64)}, folder / "model.safetensors")
    (folder / "trainer_state.json").write_text('{"global_step": 1}')
    return folder


def read_rollouts(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# A free folder.


def test_a_new_folder_is_made_and_left_empty(run_files):
    run_files.check_free()
    run_files.check_free()
    assert list(run_files.output_dir.iterdir()) == []


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
def test_another_run_is_not_written_over(run_files, name):
    run_files.output_dir.mkdir()
    (run_files.output_dir / name).write_text("")
    with pytest.raises(InputError, match=r"output_dir: got .*run, which holds another run"):
        run_files.check_free()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for taken in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="expected a folder that can be written"):
            RunFiles(taken).check_free()


# Checkpoints.


def test_a_whole_checkpoint_has_no_problem(tmp_path):
    assert checkpoint_problem(write_checkpoint(tmp_path / "checkpoint-1")) is None


def test_each_damage_is_named(tmp_path):
    assert checkpoint_problem(tmp_path / "none") == "which has no trainer_state.json"
    folder = write_checkpoint(tmp_path / "checkpoint-1")
    weights = folder / "model.safetensors"
    for size in (0, 4, weights.stat().st_size - 1):
        whole = weights.read_bytes()
        weights.write_bytes(whole[:size])
        assert checkpoint_problem(folder) == "whose model.safetensors is damaged"
        weights.write_bytes(whole)
    assert checkpoint_problem(folder) is None
    weights.unlink()
    assert checkpoint_problem(folder) == "which has no weights"
    (folder / "trainer_state.json").write_text('{"global_st')
    assert checkpoint_problem(folder) == "whose trainer_state.json is damaged"


def test_no_checkpoint(run_files):
    with pytest.raises(InputError, match=r"got no checkpoint-N folder in .*run, expected a whole"):
        run_files.find_checkpoint(True)


@pytest.mark.parametrize("requested", [True, "true", "True"])
def test_the_newest_whole_checkpoint(run_files, requested):
    nine, ten, eleven = (
        write_checkpoint(run_files.output_dir / f"checkpoint-{step}") for step in (9, 10, 11)
    )
    assert run_files.find_checkpoint(requested) == eleven
    (eleven / "trainer_state.json").unlink()
    # 10 is newer than 9 although "9" sorts behind "10".
    assert run_files.find_checkpoint(requested) == ten
    (nine / "model.safetensors").unlink()
    (ten / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError) as raised:
        run_files.find_checkpoint(requested)
    assert all(f"checkpoint-{step}: wh" in str(raised.value) for step in (9, 10, 11))


def test_folders_that_are_no_checkpoint_are_passed_over(run_files):
    whole = write_checkpoint(run_files.output_dir / "checkpoint-9")
    write_checkpoint(run_files.output_dir / "checkpoint-10-copy")
    assert run_files.find_checkpoint(True) == whole


def test_a_named_checkpoint(tmp_path, run_files):
    folder = write_checkpoint(tmp_path / "elsewhere" / "checkpoint-3")
    assert run_files.find_checkpoint(str(folder)) == folder
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"got .*checkpoint-3, which has no weights, expected"):
        run_files.find_checkpoint(str(folder))


# Metrics.


def test_a_resumed_run_takes_its_steps_again(run_files, make_group):
    run_files.drop_steps_after(0)  # nothing there yet
    run_files.output_dir.mkdir()
    for step in (1, 2, 3):
        run_files.write_metrics(step, {"loss": step / 2})
        run_files.write_rollouts(step, [])
    with run_files.metrics_path.open("a") as file:
        file.write('{"step": 4, "lo')  # the run was killed in the middle of a line
    run_files.drop_steps_after(2)
    lines = [json.loads(line) for line in run_files.metrics_path.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}]
    names = sorted(path.name for path in run_files.rollouts_dir.iterdir())
    assert names == ["step_000001.jsonl.gz", "step_000002.jsonl.gz"]
    run_files.write_metrics(3, {"loss": 9.0})
    assert json.loads(run_files.metrics_path.read_text().splitlines()[-1])["step"] == 3


def test_only_the_main_process_writes_metrics(run_files, tmp_path):
    run_files.output_dir.mkdir()
    callback = MetricsFile(run_files)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    for rank, logs in ((0, {"loss": 0.5}), (1, {"loss": 7.0}), (0, None)):
        state = TrainerState(global_step=3, is_world_process_zero=rank == 0)
        callback.on_log(arguments, state, TrainerControl(), logs=logs)
    lines = run_files.metrics_path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 3, "loss": 0.5}]


# Rollouts.


def test_one_line_per_sampled_rollout(run_files, make_group):
    group = make_group(["2", None, "3"], trained={0, 2}, visit="0-7")
    scored = ScoredGroup(
        group=group,
        row=7,
        rewards={"a": [1.0, 0.0, None]},
        reward=[1.0, 0.0, None],
        reward_seconds={"a": 0.1},
        vote=vote_over_classes(["2", None, "3"], [0, None, 1]),
    )
    advantages = {VisitKey("p", "0-7"): [0.5, 0.0]}
    run_files.write_rollouts(4, rollout_lines([scored], advantages))
    lines = read_rollouts(run_files.rollouts_dir / "step_000004.jsonl.gz")
    assert [line["rollout"] for line in lines] == [0, 1, 2]
    assert [line["reward"] for line in lines] == [1.0, 0.0, None]
    # The rollout that only votes has no advantage; the others' come in order.
    assert [line["advantage"] for line in lines] == [0.5, None, 0.0]
    assert [line["cluster"] for line in lines] == [0, None, 1]
    assert [line["selected"] for line in lines] == [True, False, False]
    assert {line["pseudo_label"] for line in lines} == {"2"}
    for line in lines:
        assert line.keys() == ROLLOUT_FIELDS.keys()
        assert all(isinstance(line[name], kind) for name, kind in ROLLOUT_FIELDS.items())


def test_text_of_any_kind_comes_back(run_files, make_group):
    texts = ["two\nlines\x00\u2028", "half a pair \ud83d", "\N{PILE OF POO}</script>"]
    group = make_group([None] * 3, completions=texts)
    scored = score_group(group, 0, {}, {})
    advantages = {VisitKey("p", "0-0"): [0.0] * 3}
    run_files.write_rollouts(1, rollout_lines([scored], advantages))
    lines = read_rollouts(run_files.rollouts_dir / "step_000001.jsonl.gz")
    assert [line["completion"] for line in lines] == texts


# Settings and summary.


def test_settings_as_resolved(run_files):
    config = make_config(
        {
            "output_dir": str(run_files.output_dir),
            "num_generations": 4,
            "lr_scheduler_type": "constant",
            "rewards": {"random": {"weight": 0.5}},
            "hub_token": "hf_secret",
        }
    )
    facts = PromptFacts(
        num_in_source=3, dropped_rows=[1], limit=8, longest=7, fingerprint="0123456789abcdef"
    )
    run_files.write_config(config, facts)
    text = (run_files.output_dir / "config.yaml").read_text()
    document = yaml.safe_load(text)
    assert document.keys() == {"settings", "geometry", "prompts", "versions", "git_commit"}
    assert PromptFacts(**document["prompts"]) == facts
    assert document["settings"]["num_votes"] == 4
    assert document["settings"]["rewards"] == {"random": {"weight": 0.5}}
    assert document["settings"]["lr_scheduler_type"] == "constant"
    assert document["geometry"] == config.geometry
    # People share this file.
    assert "hf_secret" not in text


def test_summary(run_files):
    run_files.output_dir.mkdir()
    path = run_files.write_summary({"after": {"pass@1": 0.5}})
    assert path == run_files.output_dir / "summary.json"
    assert json.loads(path.read_text()) == {"after": {"pass@1": 0.5}}
