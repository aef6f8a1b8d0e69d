"""What is read from the folders of runs and evaluations, whole and broken."""

import json
from pathlib import Path

import pytest

from rl.errors import InputError
from rl.report.folders import read_folders, read_whole_lines, rollout_settings, unique_names


def test_names_are_as_short_as_they_can_be_told_apart():
    assert unique_names([]) == []
    assert unique_names([Path("/a/demo")]) == ["demo"]
    assert unique_names([Path("/a/x/run"), Path("/a/y/run"), Path("/a/z")]) == [
        "x/run",
        "y/run",
        "a/z",
    ]


def test_a_finished_run(tmp_path, write_run):
    folder = write_run(
        tmp_path / "demo",
        metrics=[{"step": 1, "reward": 0.5}],
        settings={"model": "m", "supervised": True},
        summary={"before": {"pass@1": 0.5}, "cost": {}},
    )
    (run,) = read_folders([folder])
    assert (run.name, run.kind, run.supervised, run.is_finished) == ("demo", "run", True, True)
    assert run.metrics == [{"step": 1, "reward": 0.5}]
    assert run.settings["model"] == "m"
    assert run.about == {"git_commit": "0123456789abcdef"}


def test_a_killed_run_has_no_summary_and_half_a_line(tmp_path, write_run):
    folder = write_run(tmp_path / "demo", metrics=[{"step": 1, "supervised": True}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "rew')
    (folder / "before.json").write_text('{"pass@1": 0.25}')
    (run,) = read_folders([folder])
    assert run.metrics == [{"step": 1, "supervised": True}]
    assert not run.is_finished
    assert run.supervised  # the stamp on the metrics alone
    assert run.summary == {"before": {"pass@1": 0.25}}


def test_a_run_with_one_file_only(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    (run,) = read_folders([tmp_path])
    assert (run.metrics, run.settings, run.summary) == ([], {}, {})


def test_the_settings_behind_a_file_of_rollouts(tmp_path, write_run, monkeypatch):
    folder = write_run(tmp_path / "demo", settings={"answer_methods": ["first_phrase"]})
    (folder / "rollouts").mkdir(exist_ok=True)
    path = folder / "rollouts" / "step_000001.jsonl.gz"
    assert rollout_settings(path)["answer_methods"] == ["first_phrase"]
    monkeypatch.chdir(path.parent)
    assert rollout_settings(Path(path.name))["answer_methods"] == ["first_phrase"]
    assert rollout_settings(folder / "votes.jsonl") == {}  # of this folder, but no rollouts
    (folder / "config.yaml").write_text("[]")
    assert rollout_settings(path) == {}
    (folder / "config.yaml").unlink()
    assert rollout_settings(path) == {}


def test_a_folder_of_evaluations_stands_for_all_of_them(tmp_path):
    for name in ("b", "a"):
        folder = tmp_path / name
        folder.mkdir()
        manifest = {"settings": {"model": "m"}, "benchmark": name, "versions": {"torch": "2"}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    runs = read_folders([tmp_path])
    assert [(run.name, run.kind, run.is_finished) for run in runs] == [
        ("a", "evaluation", False),
        ("b", "evaluation", False),
    ]
    assert runs[0].settings == {"model": "m", "benchmark": "a"}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"got .*nothing, expected the folder of a run"):
        read_folders([tmp_path / "nothing"])
    with pytest.raises(InputError, match=r"expected a folder with config.yaml"):
        read_folders([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("")
    (tmp_path / "same").symlink_to(tmp_path)
    with pytest.raises(InputError, match="twice"):
        read_folders([tmp_path, tmp_path / "same"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.jsonl", '{"step": 1}\n{"step": \n', "line 2"),
        ("metrics.jsonl", "[1]\n", "line 1: got list"),
        ("summary.json", '{"before": ', "expected a JSON object"),
        ("config.yaml", "a: [", "got invalid YAML"),
    ],
    ids=["half a line inside", "no object", "summary", "settings"],
)
def test_damage_is_named(tmp_path, name, content, message):
    (tmp_path / "metrics.jsonl").write_text("")
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_folders([tmp_path])


def test_whole_lines_of_no_file(tmp_path):
    assert read_whole_lines(tmp_path / "metrics.jsonl") == []
