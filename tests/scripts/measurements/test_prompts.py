"""A small measurement of prompts that are run once, on a tiny model."""

import json
import shutil

import pytest
from measurements.prompts import measure_prompts, require_smollm2

from rl.errors import InputError


def test_two_ways_sample_the_same(tmp_path, tiny_model_folder):
    shutil.copytree(tiny_model_folder, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ messages[0]['content'] }}=")
    (tmp_path / "words").mkdir()
    rows = [json.dumps({"prompt": f"{number}+1"}) for number in range(4)]
    (tmp_path / "words" / "train.jsonl").write_text("\n".join(rows))
    require_smollm2(tmp_path)
    ratios, equal, seconds = measure_prompts(tmp_path, 3, 2, repetitions=2)
    assert ratios.name == "sampling 2 x 3 completions: prompts run once / once per sample"
    assert equal.values == [1.0, 1.0]
    measured = ratios.details["seconds"]
    assert seconds.values == measured["once"]
    assert ratios.values == [
        a / b for a, b in zip(measured["once"], measured["per sample"], strict=True)
    ]


def test_a_missing_model_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"--smollm2: got .*, expected a folder with the model"):
        require_smollm2(tmp_path)
