import hashlib
import json
from dataclasses import replace

import pytest

from rl.errors import InputError
from rl.evaluation.manifest import build_manifest, model_hash, open_evaluation, read_manifest
from rl.evaluation.problems.labelled import Problem
from rl.evaluation.records import SampleRecord, append_samples
from rl.rollouts.engine import SamplingSettings

PROBLEM = Problem(id="p", prompt="2+2=", label="4")
SAMPLE = SampleRecord(
    problem_id="p",
    sample=0,
    seed=1,
    prompt_id="00",
    completion="4",
    num_tokens=1,
    truncated=False,
    label="4",
)
SAMPLING = SamplingSettings(max_completion_length=8)


def manifest(**changes):
    settings = {
        "model": "owner/name",
        "benchmark": "owner/problems",
        "problems": [PROBLEM],
        "num_samples": 4,
        "ks": [1, 4],
        "sampling": SAMPLING,
        "engine": "transformers",
        "seed": 0,
    }
    return build_manifest(**{**settings, **changes})


def test_the_manifest_records_where_samples_come_from(tmp_path):
    benchmark = tmp_path / "problems.jsonl"
    benchmark.write_bytes(b'{"prompt": "2+2=", "label": 4}\n')
    written = manifest(benchmark=str(benchmark))
    assert written["benchmark_sha256"] == hashlib.sha256(benchmark.read_bytes()).hexdigest()
    assert written["settings"]["temperature"] == 1.0
    assert written["settings"]["max_completion_length"] == 8
    assert written["versions"]["transformers"]
    assert manifest()["benchmark_sha256"] is None
    open_evaluation(tmp_path, written)
    assert read_manifest(tmp_path) == json.loads(json.dumps(written))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"model": "owner/other"}, "model"),
        ({"seed": 1}, "seed"),
        ({"engine": "vllm"}, "engine"),
        ({"sampling": replace(SAMPLING, temperature=0.6)}, "temperature"),
        ({"problems": [replace(PROBLEM, label="5")]}, "problems_hash"),
        ({"num_samples": 3}, "num_samples"),
    ],
)
def test_other_settings_do_not_mix_with_the_samples_there(tmp_path, changes, name):
    open_evaluation(tmp_path, manifest())
    append_samples(tmp_path, [SAMPLE])
    with pytest.raises(InputError, match=f"{name}: got .* Choose another output_dir"):
        open_evaluation(tmp_path, manifest(**changes))
    assert read_manifest(tmp_path)["settings"] == manifest()["settings"]


def test_the_same_settings_more_samples_and_other_ks_continue(tmp_path):
    assert open_evaluation(tmp_path / "new", manifest()) == []
    append_samples(tmp_path / "new", [SAMPLE])
    assert open_evaluation(tmp_path / "new", manifest()) == [SAMPLE]
    assert open_evaluation(tmp_path / "new", manifest(num_samples=8, ks=[2])) == [SAMPLE]
    assert read_manifest(tmp_path / "new")["num_samples"] == 8


def test_without_samples_other_settings_may_start(tmp_path):
    open_evaluation(tmp_path, manifest())
    assert open_evaluation(tmp_path, manifest(seed=1)) == []


def test_samples_without_a_manifest_are_refused(tmp_path):
    append_samples(tmp_path, [SAMPLE])
    with pytest.raises(InputError, match=r"expected a folder with the manifest.json"):
        open_evaluation(tmp_path, manifest())


def test_the_model_hash_sees_both_ends_of_the_weights_and_no_other_file(tmp_path):
    weights = tmp_path / "model.safetensors"
    middle = bytes(3 << 20)
    weights.write_bytes(b"a" + middle + b"z")
    before = model_hash(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}")
    assert model_hash(tmp_path) == before
    hashes = {before}
    for content in (b"b" + middle + b"z", b"a" + middle + b"y", b"az"):
        weights.write_bytes(content)
        hashes.add(model_hash(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    hashes.add(model_hash(tmp_path))
    assert len(hashes) == 5
