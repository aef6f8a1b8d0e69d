"""The training problems by wording and by kind: every prompt once in each division."""

import json

import pytest

from rl.testbed.strategies_parts import write_parts


def test_prompts_are_divided_by_wording_and_by_kind(tmp_path):
    # 3-8+9 falls to -5 on the way; 9+8-6+7 has 24 in positive terms.
    prompts = ["3+5-2=", "add 3,-8,9:", "9+8-6+7=", "3-8+9="]
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (tmp_path / "train.jsonl").write_text(lines)
    sizes = {"compact": 3, "listed": 1, "plain": 1, "dips": 2, "peaks": 1}
    assert write_parts(tmp_path) == sizes
    found = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (tmp_path / "train").iterdir()
    }
    assert {name: len(rows) for name, rows in found.items()} == sizes
    assert found["dips"] == [{"prompt": "add 3,-8,9:"}, {"prompt": "3-8+9="}]
    assert (tmp_path / "train.jsonl").read_text() == lines


def test_other_prompts_are_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"prompt": "What is 3+5?"}\n')
    with pytest.raises(ValueError, match="expected a sum of the testbed of strategies"):
        write_parts(tmp_path)
