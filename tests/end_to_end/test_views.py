"""Wordings of a problem: the same rewards on one rank and on two, with right labels and wrong."""

import json
from pathlib import Path

from launching import launch, one_process, ranks, read_metrics, read_rollouts

JOINT = f"{Path(__file__).parent / 'joint_vote.py'}:joint_vote"
REWARDS = {JOINT: {}, "cross_view_vote": {}, "harmonic_vote": {}}
SUMS = [(a, b) for a in range(4) for b in range(2)]


def write_problems(path, shift=0):
    """Sums in three wordings; of labels, each that of the problem some places further."""
    labels = [str(a + b) for a, b in SUMS]
    rows = [
        {"prompt": f"{a}+{b}=", "others": [f"{b}+{a}=", f"{a}+{b}+0="], "label": label}
        for (a, b), label in zip(SUMS, labels[shift:] + labels[:shift], strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_views_do_not_depend_on_ranks_nor_on_labels(recipe, tmp_path):
    runs = {"one": (1, 0), "two": (2, 3)}
    found = {
        name: launch(
            one_process() if num_ranks == 1 else ranks(num_ranks),
            recipe,
            tmp_path / name,
            dataset=write_problems(tmp_path / f"{name}.jsonl", shift),
            label_column="label",
            views={"column": {"name": "others", "num": 2}},
            rewards=REWARDS,
            answer_methods=["last_number"],
            max_completion_length=2,  # of random tokens, so that answers agree now and then
            num_prompts=6,
            num_generations=8,
            num_votes=32,
            num_updates=1,
            per_device_train_batch_size=8,
            max_steps=1,
        )
        for name, (num_ranks, shift) in runs.items()
    }
    lines = {name: read_rollouts(output_dir) for name, output_dir in found.items()}
    assert lines["two"] == lines["one"]
    visits = {line["visit"] for line in lines["one"]}
    assert len(visits) == 6
    assert {visit.partition(".")[2] for visit in visits} == {"", "1", "2"}
    for name in REWARDS:
        paid = [line["rewards"][name] for line in lines["one"]]
        assert {0.0, 1.0} <= set(paid), name
    # One label for all wordings of a problem, of both rewards that have one.
    for visit in {visit.partition(".")[0] for visit in visits}:
        problem = [line for line in lines["one"] if line["visit"].partition(".")[0] == visit]
        winners = {line["answer"] for line in problem if line["rewards"][JOINT] == 1.0}
        assert len({answer.lstrip("0") for answer in winners}) <= 1
    assert "audit/label_accuracy" in read_metrics(found["one"])[0]
