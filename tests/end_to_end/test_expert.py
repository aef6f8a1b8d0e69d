"""A benchmark as a training set, and votes over meanings, from the command to the files."""

import json
from pathlib import Path

import pytest
import yaml
from launching import launch, one_process, read_metrics, read_rollouts

EXTRACTOR = f"{Path(__file__).parent / 'meanings.py'}:in_words"
SAME = {"chest pain", "pain in the chest"}


@pytest.mark.medium
def test_meanings_vote_on_the_problems_of_a_benchmark(recipe, tmp_path):
    rows = [{"question": f"{a}+{a}=", "answer": f"so #### {2 * a}"} for a in range(4)]
    copy = tmp_path / "copy.jsonl"
    copy.write_text("\n".join(map(json.dumps, rows)))

    run = launch(
        one_process(),
        recipe,
        tmp_path / "run",
        dataset=f"gsm8k={copy}",
        prompt_suffix="",
        label_column="answer",
        rewards={"majority_vote": {}},
        answer_methods=[EXTRACTOR],
        answer_comparer={"meaning": {"threshold": 0.7}},
        max_steps=2,
    )

    settings = yaml.safe_load((run / "config.yaml").read_text())["settings"]
    assert settings["answer_comparer"] == {"meaning": {"threshold": 0.7}}
    lines = read_rollouts(run)
    assert {line["prompt"] for line in lines if "prompt" in line} <= {r["question"] for r in rows}
    groups: dict[str, dict[str, set[int]]] = {}
    for line in lines:
        if line["answer"] is not None:
            group = groups.setdefault(line["visit"], {})
            group.setdefault(line["answer"], set()).add(line["cluster"])
    both = [group for group in groups.values() if set(group) >= SAME]
    assert both  # both wordings came up in some group, and are one class there
    for group in both:
        assert group["chest pain"] == group["pain in the chest"]
        assert group.get("back pain", set()).isdisjoint(group["chest pain"])
    assert "audit/majority_accuracy" in read_metrics(run)[0]
