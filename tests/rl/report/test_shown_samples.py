"""Which samples of an evaluation are shown, and what is said of all of them."""

import json

import pytest

from rl.report.folders import ReportedRun
from rl.report.packing import rollout_blobs
from rl.report.shown_rollouts import ShownRollouts
from rl.report.shown_samples import (
    answer_classes,
    choose_samples,
    describe_problem,
    one_line,
    order_samples,
    sample_note,
)


def samples_of(answers, label="3", **more):
    """Samples with these answers; each answer is a class of its own, None is no answer."""
    classes = list(dict.fromkeys(answer for answer in answers if answer is not None))
    return [
        {
            "sample": i,
            "answer": answer,
            "cluster": None if answer is None else classes.index(answer),
            "correct": answer == label,
            "completion": f"It is {answer}.",
            "label": label,
            **more,
        }
        for i, answer in enumerate(answers)
    ]


def write_evaluation(folder, problems, asked=()):
    folder.mkdir(exist_ok=True)
    lines = [
        {"problem_id": name, **sample} for name, samples in problems.items() for sample in samples
    ]
    for name, rows in (("samples.jsonl", lines), ("problems.jsonl", asked)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ReportedRun(name="e", path=folder, kind="evaluation")


def test_the_first_samples_show_right_wrong_and_none():
    # 5 x 4 (wrong), 2 x 3 (right), 2 without an answer, 1 x 7 (wrong).
    samples = samples_of(["4", "4", "4", "3", None, "4", "7", None, "3", "4"])
    order = order_samples(samples)
    assert [samples[i]["answer"] for i in order[:3]] == ["3", "4", None]
    # Then votes / (taken + 1): 4 has 5/2, then 5/3, and 5/4 above 3's and no answer's 2/2, which
    # come in the order of first appearance after 4's 5/5, then 7's 1/1.
    assert [samples[i]["answer"] for i in order[3:]] == ["4", "4", "4", "4", "3", None, "7"]
    assert sorted(order) == list(range(10))
    assert order_samples([]) == []
    assert order_samples(samples_of([None, None])) == [0, 1]


def test_classes_count_all_samples():
    classes = answer_classes(samples_of([None, "4", "3", "3", None, None]))
    assert classes == [
        {"key": 1, "answer": "3", "votes": 2, "correct": True},
        {"key": 0, "answer": "4", "votes": 1, "correct": False},
        {"key": None, "answer": "", "votes": 3, "correct": False},
    ]


def test_a_problem_is_right_by_its_majority_alone():
    assert describe_problem("7", samples_of(["3", "3", "4"]), {}).is_right
    assert not describe_problem("7", samples_of(["3", "4"]), {}).is_right  # a tie
    found = describe_problem("7", samples_of(["3", "4", None]), {})
    assert (found.num_samples, found.num_right, found.label) == (3, 1, "3")
    assert (found.title, found.prompt) == ("problem 7", "")


@pytest.mark.parametrize(
    ("asked", "title", "prompt"),
    [
        ({"prompt": "What is\n1 + 2?"}, "What is 1 + 2?", "What is\n1 + 2?"),
        ({"prompt": [{"role": "user", "content": "Q"}], "question": "1 + 2"}, "1 + 2", "Q"),
        (
            {"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]},
            "system: S user: Q",
            "system: S\n\nuser: Q",
        ),
        ({"prompt": None, "question": "1 + 2"}, "1 + 2", "1 + 2"),
        ({"prompt": 3, "question": None}, "problem 7", ""),
    ],
)
def test_a_problem_shows_its_prompt(asked, title, prompt):
    found = describe_problem("7", samples_of(["3"]), asked)
    assert (found.title, found.prompt) == (title, prompt)


def test_long_titles_are_cut():
    assert one_line("a  b\nc", 3) == "a b…"
    assert one_line("", 3) == ""


def test_every_problem_stays_and_gets_as_many_samples_as_fit(tmp_path):
    # Words that do not repeat, so that each sample takes about the same room.
    problems = {
        str(p): [
            {**sample, "completion": " ".join(f"{hash((p, i, w)):x}" for w in range(20))}
            for i, sample in enumerate(samples_of(["4", "3", "4", None] * 2))
        ]
        for p in range(10)
    }
    run = write_evaluation(tmp_path / "e", problems, [{"problem_id": "0", "prompt": "Q"}])
    whole = choose_samples(run, 10**6)
    assert [len(problem.rollouts) for problem in whole] == [8] * 10
    assert whole[0].prompt == "Q"
    assert sample_note(whole) == ""
    some = choose_samples(run, 12_000)
    counts = [len(problem.rollouts) for problem in some]
    assert 3 <= min(counts) <= max(counts) <= min(counts) + 1 < 8
    for problem in some:
        answers = [sample["answer"] for sample in problem.rollouts]
        assert {"3", "4", None} <= set(answers)
        numbers = [sample["rollout"] for sample in problem.rollouts]
        assert numbers == sorted(numbers)
        assert sum(c["votes"] for c in problem.classes) == problem.num_samples == 8
    assert sample_note(some).startswith("Every one of 10 problems is here with the votes of all")
    packed = rollout_blobs([ShownRollouts(problems=some)])
    assert 0.5 * 12_000 < sum(map(len, packed.values())) * 3 / 4 <= 12_000
    none = choose_samples(run, 0)
    assert [len(problem.rollouts) for problem in none] == [0] * 10
    assert sample_note(none).endswith("for the 80 samples themselves there is no room.")


def test_an_evaluation_that_has_just_begun(tmp_path):
    assert choose_samples(ReportedRun(name="e", path=tmp_path, kind="evaluation"), 100) == []
    assert sample_note([]) == ""
