"""The files a run leaves, read back; damaged ones and other people's folders."""

import gzip
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image
from transformers import TrainerControl, TrainerState, TrainingArguments

from rl.answers.votes import vote_over_classes
from rl.data.prompt_lengths import PromptFacts
from rl.data.prompts import load_prompts
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.groups.scoring import ScoredGroup, score_group
from rl.groups.visits import VisitKey
from rl.training.files import MetricsFile, RunFiles, read_config, rollout_lines
from rl.training.recipe import make_config
from rl.types import Branch

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
    # What is behind a step's own line comes again: the last evaluation, sums over the run.
    run_files.drop_steps_after(1)
    run_files.write_metrics(2, {"eval/pass@1": 0.5})  # on the schedule
    run_files.write_metrics(2, {"loss": 1.0})
    run_files.write_metrics(2, {"train_runtime": 9.0})
    run_files.write_metrics(2, {"eval/pass@1": 0.6})
    run_files.drop_steps_after(2)
    lines = [json.loads(line) for line in run_files.metrics_path.read_text().splitlines()]
    assert lines[1:] == [{"step": 2, "eval/pass@1": 0.5}, {"step": 2, "loss": 1.0}]
    run_files.write_metrics(3, {"loss": 9.0})
    assert json.loads(run_files.metrics_path.read_text().splitlines()[-1])["step"] == 3
    run_files.drop_steps_after(-1)
    assert run_files.metrics_path.read_text() == ""


def test_damaged_lines_and_stray_files_are_passed_over(run_files, caplog):
    run_files.output_dir.mkdir()
    run_files.write_rollouts(1, [])
    run_files.write_summary({})
    stray = ["step_abc.jsonl.gz", "step_.jsonl.gz", "step_000009.jsonl.gz.copy"]
    for name in (*stray, "step_000001.jsonl.gz.unfinished"):
        (run_files.rollouts_dir / name).touch()
    damaged = '{"step": 1}\n{"st\x00ep": 2}\n[1]\n\n{"step": null}\n{"step": 1, "loss": 2}\n{"step"'
    run_files.metrics_path.write_text(damaged)
    with caplog.at_level(logging.WARNING):
        run_files.drop_steps_after(1)
    assert run_files.metrics_path.read_text() == '{"step": 1}\n{"step": 1, "loss": 2}\n'
    assert "4 damaged lines dropped" in caplog.text
    found = {path.name for path in run_files.rollouts_dir.iterdir()}
    assert found == {"step_000001.jsonl.gz", *stray}
    # A run that goes on is not finished.
    assert not (run_files.output_dir / "summary.json").exists()


def test_a_full_disk_is_one_line(run_files):
    run_files.output_dir.mkdir()
    run_files.metrics_path.symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"^output_dir: got No space left on device in .*run, exp"):
        run_files.write_metrics(1, {"loss": 0.5})


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


def test_what_only_some_runs_tell_of_a_rollout(make_group):
    plain, branch = make_group(["2", "2"]).rollouts
    branch = replace(branch, branch=Branch(root=0, position=3), num_pruned=2, entropy=0.5)
    group = replace(make_group(["2", "2"]), rollouts=(plain, branch))
    advantages = {VisitKey("p", "0-0"): [0.0] * 2}
    first, second = rollout_lines([score_group(group, 0, {}, {})], advantages)
    assert not {"branch", "num_pruned", "entropy"} & first.keys()
    assert (second["branch"], second["num_pruned"]) == ({"root": 0, "position": 3}, 2)
    assert second["entropy"] == 0.5


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
    names = {"settings", "contents", "geometry", "prompts", "versions", "git_commit"}
    assert document.keys() == names
    assert PromptFacts(**document["prompts"]) == facts
    assert document["settings"]["num_votes"] == 4
    assert document["settings"]["rewards"] == {"random": {"weight": 0.5}}
    assert document["settings"]["lr_scheduler_type"] == "constant"
    assert document["geometry"] == config.geometry
    assert read_config(run_files.output_dir) == document
    assert read_config(run_files.output_dir / "none") is None
    run_files.copy_config(run_files.output_dir.parent)
    assert (run_files.output_dir.parent / "config.yaml").read_text() == text
    for damaged in ("", "- 1", "a: [", "\x00"):
        (run_files.output_dir / "config.yaml").write_text(damaged)
        with pytest.raises(InputError, match=r"config\.yaml: got no settings"):
            read_config(run_files.output_dir)
    # People share this file.
    assert "hf_secret" not in text


def test_summary(run_files):
    run_files.output_dir.mkdir()
    path = run_files.write_summary({"after": {"pass@1": 0.5}})
    assert path == run_files.output_dir / "summary.json"
    assert json.loads(path.read_text()) == {"after": {"pass@1": 0.5}}


def test_the_images_of_rollouts_are_kept_once(run_files, tmp_path):
    rows = [{"prompt": f"{row}?", "image": f"{row}.png"} for row in range(3)]
    for row in range(3):
        Image.new("L", (4, 4), row).save(tmp_path / f"{row}.png")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = load_prompts(str(tmp_path / "rows.jsonl")).dataset
    images = RowImages(prompts)
    digests = images.keep_readable(prompts).prompts["image_digests"]
    line = {"prompt_id": "a", "prompt": "0?"}
    run_files.write_rollouts(1, [{**line, "images": digests[0]}] * 2 + [line], images)
    kept = run_files.output_dir / "images"
    assert [path.stem for path in kept.iterdir()] == digests[0]
    # A run that goes on writes what is new alone, and takes no note of its earlier files.
    for path in tmp_path.glob("0.png"):
        path.unlink()
    again = RunFiles(run_files.output_dir)
    again.write_rollouts(2, [{**line, "images": [*digests[2], *digests[0]]}], images)
    assert {path.stem for path in kept.iterdir()} == {*digests[0], *digests[2]}
    lines = read_rollouts(run_files.rollouts_dir / "step_000001.jsonl.gz")
    assert [one.get("images") for one in lines] == [digests[0], digests[0], None]
