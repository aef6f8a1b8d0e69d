"""Which rollouts a report shows, and what it says of the others."""

import json
from pathlib import Path

from rl.report.folders import ReportedRun, read_folders
from rl.report.packing import rollout_blobs
from rl.report.rollout_groups import MAX_CHARACTERS
from rl.report.shown_rollouts import choose_all_rollouts, choose_rollouts


def shown_of(folder, **limits):
    (run,) = read_folders([folder])
    return choose_rollouts(run, **limits)


def test_a_run_without_rollouts():
    shown = choose_rollouts(ReportedRun(name="a", path=Path("/nowhere"), kind="run"))
    assert (shown.steps, shown.step_numbers, shown.notes) == ([], [], [])


def test_all_steps_are_shown_if_they_fit(tmp_path, write_run, make_line):
    steps = {step: [make_line(0, "1", 1.0, step=step)] for step in range(1, 51)}
    shown = shown_of(write_run(tmp_path / "run", rollouts=steps))
    assert shown.step_numbers == list(range(1, 51))
    assert shown.notes == []
    named = shown_of(tmp_path / "run", steps=[7, 2, 99])
    assert named.step_numbers == [2, 7]
    assert named.notes == ["2 of 50 steps with rollouts were asked for."]


def test_whole_groups_within_the_bytes_and_flips_among_them(tmp_path, write_run, make_line):
    # 20 steps of 3 groups of 4; the majority of p1 flips from step 9 to step 10.
    steps = {
        step: [
            make_line(i, "2" if p == 1 and step >= 10 else "1", 1.0, step=step, prompt_id=f"p{p}")
            for p in range(3)
            for i in range(4)
        ]
        for step in range(1, 21)
    }
    folder = write_run(tmp_path / "run", rollouts=steps)
    whole = shown_of(folder)
    assert sum(len(step.groups) for step in whole.steps) == 60
    some = shown_of(folder, max_bytes=2_000)
    groups = {(s.step, g["prompt_id"]): g for s in some.steps for g in s.groups}
    assert 3 < len(groups) < 60
    assert sum(map(len, rollout_blobs([some]).values())) * 3 / 4 <= 2_000
    assert all(len(group["rollouts"]) == 4 for group in groups.values())
    assert {(1, "p0"), (9, "p1"), (10, "p1"), (20, "p2")} <= groups.keys()
    assert groups[9, "p1"]["reasons"] == groups[10, "p1"]["reasons"] == ["majority flips"]
    assert some.notes[0].startswith(f"{len(groups)} of 60 groups are shown, from")
    assert "2 of 2 before or after a flip of their prompt's majority" in some.notes[0]
    assert len(shown_of(folder, max_bytes=0).steps) == 1  # a group in any case


def test_what_one_run_leaves_the_other_gets(tmp_path, write_run, make_line):
    lines = [make_line(i, "1", 1.0, prompt_id=f"p{p}") for p in range(40) for i in range(4)]
    folders = [
        write_run(tmp_path / "large", rollouts={1: lines}),
        write_run(tmp_path / "small", rollouts={1: lines[:4]}),
        write_run(tmp_path / "none"),
    ]
    shown = choose_all_rollouts(read_folders(folders), max_bytes=5_000)
    alone = choose_all_rollouts(read_folders(folders[:1]), max_bytes=5_000 // 3)
    counts = [sum(len(step.groups) for step in of.steps) for of in (*shown, *alone)]
    assert counts[1:3] == [1, 0]
    assert counts[0] > counts[3]


def test_a_file_that_breaks_off_is_named(tmp_path, write_run, make_line):
    folder = write_run(tmp_path / "run", rollouts={1: [make_line(0, "1", 1.0)], 2: []})
    whole = (folder / "rollouts" / "step_000001.jsonl.gz").read_bytes()
    (folder / "rollouts" / "step_000002.jsonl.gz").write_bytes(whole[:-9])
    (folder / "rollouts" / "step_x.jsonl.gz").write_bytes(b"")
    shown = shown_of(folder)
    assert [step.step for step in shown.steps] == [1]
    assert shown.notes == ["The rollouts of step 2 are damaged or still being written."]


def test_long_completions_are_counted(tmp_path, write_run, make_line):
    line = make_line(0, "1", 1.0, completion="a" * (MAX_CHARACTERS + 1))
    shown = shown_of(write_run(tmp_path / "run", rollouts={1: [line]}))
    assert "(1 of them) are shown without their middle" in shown.notes[0]


def test_samples_of_an_evaluation(tmp_path):
    sample = {"problem_id": "7", "sample": 0, "seed": 1, "prompt_id": "h", "completion": "c"}
    (tmp_path / "samples.jsonl").write_text(json.dumps({**sample, "label": "3"}) + "\n")
    shown = shown_of(tmp_path)
    assert (shown.steps, shown.step_numbers) == ([], [0])
    [problem] = shown.problems
    assert problem.problem_id == "7"
    assert problem.rollouts == [{"rollout": 0, "completion": "c", "label": "3"}]
