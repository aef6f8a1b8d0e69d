"""Which rollouts a report shows, and what it says of the others."""

import json
from pathlib import Path

from rl.report.folders import ReportedRun, read_folders
from rl.report.shown_rollouts import MAX_CHARACTERS, MAX_STEPS, choose_rollouts, group_lines


def shown_of(folder, **limits):
    (run,) = read_folders([folder])
    return choose_rollouts(run, **limits)


def test_a_run_without_rollouts():
    shown = choose_rollouts(ReportedRun(name="a", path=Path("/nowhere"), kind="run"))
    assert (shown.steps, shown.notes) == ([], [])


def test_groups_are_joined_by_prompt_visit_and_role(make_line):
    lines = [
        make_line(1, "1", 1.0),
        make_line(0, None, None, note="kept"),
        make_line(0, "1", 1.0, visit="0-1"),
        make_line(0, "1", 1.0, role="verifier"),
    ]
    groups = group_lines(lines)
    assert [(g["prompt_id"], g["visit"], g["role"], len(g["rollouts"])) for g in groups] == [
        ("p0", "0-0", "", 2),
        ("p0", "0-1", "", 1),
        ("p0", "0-0", "verifier", 1),
    ]
    assert [rollout["rollout"] for rollout in groups[0]["rollouts"]] == [0, 1]
    assert groups[0]["rollouts"][0]["note"] == "kept"
    assert "step" not in groups[0]["rollouts"][0]


def test_steps_are_evenly_spaced_with_the_first_and_the_last(tmp_path, write_run, make_line):
    steps = {step: [make_line(0, "1", 1.0, step=step)] for step in range(1, 51)}
    shown = shown_of(write_run(tmp_path / "run", rollouts=steps))
    chosen = [step.step for step in shown.steps]
    assert len(chosen) == MAX_STEPS
    assert (chosen[0], chosen[-1]) == (1, 50)
    assert shown.notes == [f"{MAX_STEPS} of 50 steps with rollouts are shown."]
    named = shown_of(tmp_path / "run", steps=[7, 2, 99])
    assert [step.step for step in named.steps] == [2, 7]


def test_only_whole_groups_within_the_limit(tmp_path, write_run, make_line):
    # Two steps of 5 groups of 4. A limit of 20 leaves each step 10 rollouts: 2 whole groups.
    lines = [make_line(i, "1", 1.0, prompt_id=f"p{p}") for p in range(5) for i in range(4)]
    folder = write_run(tmp_path / "run", rollouts={1: lines, 2: lines})
    shown = shown_of(folder, max_rollouts=20)
    assert [[g["prompt_id"] for g in step.groups] for step in shown.steps] == [["p0", "p4"]] * 2
    assert shown.notes == ["4 of 10 groups of these steps are shown."]
    assert shown_of(folder, max_rollouts=40).notes == []
    # A step shows a group even where the limit has no room for one.
    assert [len(step.groups) for step in shown_of(folder, max_rollouts=1).steps] == [1, 1]


def test_a_file_that_breaks_off_is_named(tmp_path, write_run, make_line):
    folder = write_run(tmp_path / "run", rollouts={1: [make_line(0, "1", 1.0)], 2: []})
    whole = (folder / "rollouts" / "step_000001.jsonl.gz").read_bytes()
    (folder / "rollouts" / "step_000002.jsonl.gz").write_bytes(whole[:-9])
    (folder / "rollouts" / "step_x.jsonl.gz").write_bytes(b"")
    shown = shown_of(folder)
    assert [step.step for step in shown.steps] == [1]
    assert shown.notes == ["The rollouts of step 2 are damaged or still being written."]


def test_long_completions_lose_their_middle(tmp_path, write_run, make_line):
    text = "a" * MAX_CHARACTERS + "b"
    line = make_line(0, "1", 1.0, completion=text)
    shown = shown_of(write_run(tmp_path / "run", rollouts={1: [line]}))
    completion = shown.steps[0].groups[0]["rollouts"][0]["completion"]
    assert completion.startswith("a" * (MAX_CHARACTERS // 2) + "\n")
    assert completion.endswith("ab")
    assert "1 characters left out" in completion
    assert "(1 of them) are shown without their middle" in shown.notes[0]


def test_samples_of_an_evaluation(tmp_path):
    sample = {"problem_id": "7", "sample": 0, "seed": 1, "prompt_id": "h", "completion": "c"}
    (tmp_path / "samples.jsonl").write_text(json.dumps({**sample, "label": "3"}) + "\n")
    (step,) = shown_of(tmp_path).steps
    assert step.groups == [
        {
            "prompt_id": "7",
            "visit": "",
            "prompt": "",
            "role": "",
            "rollouts": [{"rollout": 0, "completion": "c", "label": "3"}],
        }
    ]
