"""Files of rollouts: long prompts are written once, and every reader has them all the same."""

import gzip
import json
import random

import pytest

from rl.errors import InputError
from rl.evaluation.overlap import read_train_prompts
from rl.report.folders import ReportedRun
from rl.report.shown_rollouts import choose_rollouts
from rl.training.files import RunFiles
from rl.training.rollout_files import MAX_REPEATED_CHARACTERS, read_rollout_file, write_rollout_file

SHORT, LONG = "1+1=", "x" * (MAX_REPEATED_CHARACTERS + 1)


def line(prompt, rollout, prompt_id=None, **more):
    return {"prompt_id": prompt_id or prompt[:9], "visit": "0", "prompt": prompt} | {
        "rollout": rollout,
        "completion": f"c{rollout}",
        **more,
    }


def raw(path):
    with gzip.open(path, "rt") as file:
        return [json.loads(text) for text in file]


def test_no_rollouts(tmp_path):
    write_rollout_file(tmp_path / "a.jsonl.gz", [])
    assert list(read_rollout_file(tmp_path / "a.jsonl.gz")) == []


def test_a_long_prompt_is_written_once_and_read_on_every_line(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    at_limit = LONG[1:]
    lines = [
        line(prompt, i, prompt_id=name)
        for i in range(3)
        for name, prompt in (("s", SHORT), ("l", LONG), ("m", at_limit), ("o", "y" + LONG))
    ]
    write_rollout_file(path, lines)
    assert [entry["prompt"] for entry in raw(path)] == [
        *(SHORT, LONG, at_limit, "y" + LONG),
        *(SHORT, None, at_limit, None) * 2,
    ]
    assert [entry.value for entry in read_rollout_file(path)] == lines
    assert lines[5]["prompt"] == LONG  # what is written is not changed


def test_lines_of_other_files_stay_as_they_are(tmp_path):
    path = tmp_path / "a.jsonl"
    values = [{"id": "p", "completions": ["2"]}, [1], {"prompt_id": "p", "prompt": None}, {"a": 1}]
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    assert [entry.value for entry in read_rollout_file(path)] == values
    path.write_text("{")
    with pytest.raises(InputError, match=r"a\.jsonl line 1: got"):
        list(read_rollout_file(path))


def test_readers_of_a_run_have_every_prompt(tmp_path):
    lines = [line(prompt, i) for prompt in (SHORT, LONG) for i in range(3)]
    RunFiles(tmp_path).write_rollouts(1, lines)
    (tmp_path / "config.yaml").write_text("settings: {dataset: gone.json}")
    assert read_train_prompts(tmp_path).prompts == [SHORT, LONG]
    run = ReportedRun(name="a", path=tmp_path, kind="run")
    groups = choose_rollouts(run).steps[0].groups
    assert [(g["prompt"], len(g["rollouts"])) for g in groups] == [(SHORT, 3), (LONG, 3)]


def test_eight_answers_over_long_documents_take_the_room_of_one_prompt(tmp_path):
    # gzip looks back 32 KB, so a prompt of 60,000 characters would not be found again.
    rng = random.Random(0)
    prompt = " ".join(f"{rng.randrange(10**9)}" for _ in range(6000))
    path = tmp_path / "a.jsonl.gz"
    sizes = []
    for num_rollouts in (1, 8):
        write_rollout_file(path, [line(prompt, i) for i in range(num_rollouts)])
        sizes.append(path.stat().st_size)
    assert sizes[1] < 1.1 * sizes[0]
