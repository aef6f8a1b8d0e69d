"""Labels never reach a reward: permuting them changes audit/ metrics and nothing else."""

import json

from launching import launch, one_process, read_metrics, read_rollouts


def test_permuted_labels_give_the_same_rewards(recipe, tmp_path):
    settings = json.loads(json.dumps({"label_column": "label", "max_steps": 2}))
    train = tmp_path / "train.jsonl"
    rows = [{"prompt": f"{a}+{b}=", "label": str(a + b)} for a in range(4) for b in range(2)]
    train.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    shuffled = tmp_path / "shuffled.jsonl"
    labels = [row["label"] for row in rows]
    rotated = [{**row, "label": labels[i - 1]} for i, row in enumerate(rows)]
    shuffled.write_text("\n".join(json.dumps(row) for row in rotated) + "\n")

    runs = [
        launch(one_process(), recipe, tmp_path / name, dataset=str(path), **settings)
        for name, path in (("right", train), ("permuted", shuffled))
    ]

    assert read_rollouts(runs[0]) == read_rollouts(runs[1])
    for line in read_metrics(runs[0])[:1]:
        assert "audit/majority_accuracy" in line
        assert not any("label" in key for key in line if not key.startswith(("audit/", "vote/")))
